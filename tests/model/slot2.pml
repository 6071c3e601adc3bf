/* Slots again, with what slot.pml leaves out.
 *
 * Empty slots on the first lap and a first sequence that is no multiple of the capacity; death also
 * between claim and tail; claims revoked by anybody at any time; a late owner that publishes again.
 * The verdict on each sequence (event or tombstone) is a ghost variable, written by whoever decides.
 *
 * -DPEERQUAR  a publisher that meets the claim of the lap before revokes it itself, so that
 *             drop-oldest never waits for anybody
 *
 * Held to:  a sequence gets one verdict, for all readers and for ever; what is accepted is complete;
 *           a publisher that finds a slot in its way knows what to do with it; nobody waits for ever.
 *
 * Mutations (each must fail):
 *   -DMUT_VIRGIN       the first lap compares with s - CAP literally: nobody can ever claim
 *   -DMUT_RELEASE_ANY  the late owner writes `aborted` by a plain store
 *   -DMUT_COMMIT_STORE the commit is a plain store, although the claim may have been revoked
 */
#define CAP 2
#ifndef NP
#define NP 2
#endif
#ifndef NE
#define NE 2
#endif
#define BASE 3                      /* the first sequence of this ring */
#ifndef MAXS
#define MAXS 12
#endif

#define EMPTY 0
#define CLAIMED 1
#define COMMITTED 2
#define ABORTED 3
#define QUAR 4
#define EVENT 1                     /* verdicts */
#define TOMB 2

typedef slot_t { byte seq; byte st; byte own; byte w0; byte w1 };

slot_t s[CAP];
byte tail = BASE;
bool dead[NP], gone[NP];
byte verdict[MAXS + 2];

#define FINAL(k) (s[k].st == COMMITTED || s[k].st == ABORTED)
#ifdef MUT_VIRGIN
#define FREE(k, t) (s[k].seq == t - CAP && FINAL(k))
#else
#define FREE(k, t) (s[k].st == EMPTY || (s[k].seq == t - CAP && FINAL(k)))
#endif

inline decide(q, v) { assert(verdict[q] == 0 || verdict[q] == v); verdict[q] = v }
inline may_die() { if :: true :: dead[me] = true; goto out fi }

/* CAS slot(t).stamp; `ok` says whether the slot is mine */
inline claim() {
  atomic {
    ok = false;
    if
    :: FREE(i, t) -> s[i].seq = t; s[i].st = CLAIMED; s[i].own = me; ok = true
    :: s[i].seq == t - CAP && s[i].st == QUAR -> s[i].seq = t; decide(t, TOMB)
#ifdef PEERQUAR
    :: s[i].seq == t - CAP && s[i].st == CLAIMED ->
         decide(t - CAP, TOMB); s[i].st = QUAR; s[i].seq = t; decide(t, TOMB)
#endif
    :: else ->                      /* never empty here, never two laps behind */
         assert(tail != t || (s[i].st != EMPTY && s[i].seq + CAP >= t))
    fi
  }
}

inline help_tail() {
  atomic { if :: s[i].st != EMPTY && s[i].seq == t && tail == t -> tail = t + 1 :: else fi }
}

inline commit() {
  atomic {
#ifdef MUT_COMMIT_STORE
    s[i].seq = t; s[i].st = COMMITTED; s[i].own = me; decide(t, EVENT); ok = true
#else
    if
    :: s[i].seq == t && s[i].st == CLAIMED && s[i].own == me ->
         s[i].st = COMMITTED; decide(t, EVENT); ok = true
    :: else -> ok = false
    fi
#endif
  }
}

/* the late owner gives its slot back, whatever sequence it stands for by now (CAS in a loop) */
inline give_back() {
#ifdef MUT_RELEASE_ANY
  t = s[i].seq;
  may_die();
  atomic { s[i].seq = t; s[i].st = ABORTED }
#else
  may_die();
  atomic { assert(s[i].st == QUAR && s[i].own == me); s[i].st = ABORTED }
#endif
}

#define waits_for_lap_before(t, i) (tail == t && s[i].seq == t - CAP && s[i].st == CLAIMED)

proctype publisher(byte me) {
  byte t, i, n = 0;
  bool ok;
  do
  :: n < NE ->
retry:
     t = tail;
     if :: t >= MAXS -> break :: else fi;
     i = t % CAP;
     claim();
     may_die();
     help_tail();
     if
     :: ok
     :: !ok -> !waits_for_lap_before(t, i) -> goto retry
     fi;
     may_die();
     s[i].w0 = t;
     may_die();
     s[i].w1 = t;
     may_die();
     commit();
     if
     :: ok -> n++
     :: !ok -> give_back(); goto retry
     fi
  :: else -> break
  od;
out:
  gone[me] = true
}

#define ORPHAN(k) ((s[k].st == CLAIMED || s[k].st == QUAR) && dead[s[k].own])

inline bury(k) {
  atomic {
    ORPHAN(k) ->
      if :: s[k].st == CLAIMED -> decide(s[k].seq, TOMB) :: else fi;
      s[k].st = ABORTED
  }
}

inline revoke(k) { atomic { s[k].st == CLAIMED -> decide(s[k].seq, TOMB); s[k].st = QUAR } }

proctype daemon() {
end:
  do
  :: bury(0)
  :: bury(1)
#ifndef NOREVOKE
  :: revoke(0)
  :: revoke(1)
#endif
  od
}

#define verdict_on(c, i) (s[i].st != EMPTY && \
                          (s[i].seq > c || (s[i].seq == c && s[i].st != CLAIMED)))

proctype reader() {
  byte c = BASE, i, q1, st1, o1, a, b;
  bool same;
  do
  :: i = c % CAP;
     atomic { q1 = s[i].seq; st1 = s[i].st; o1 = s[i].own };
     if
     :: st1 != EMPTY && q1 == c && st1 == COMMITTED ->
          a = s[i].w0;
          b = s[i].w1;
          atomic {
            same = (s[i].seq == q1 && s[i].st == st1 && s[i].own == o1);
            if :: same -> assert(a == c && b == c && verdict[c] == EVENT); c++ :: else fi
          }
     :: st1 != EMPTY && q1 == c && (st1 == ABORTED || st1 == QUAR) ->
          assert(verdict[c] == TOMB); c++
     :: st1 != EMPTY && q1 > c -> c = q1 - CAP + 1
     :: else ->
          if
          :: verdict_on(c, i)
          :: gone[0] && gone[NP - 1] && c >= tail && !(s[i].st == CLAIMED && s[i].seq == c) -> break
          fi
     fi
  od
}

init {
  byte k = 0;
  atomic {
    run daemon(); run reader();
    do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
