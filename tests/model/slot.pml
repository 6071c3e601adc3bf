/* Slots: claim, commit, abort, quarantine.
 *
 * A drop-oldest ring of CAP slots. NP publishers claim a slot, write two words into it and commit;
 * inside the claim they may die or be stopped. A daemon turns the claims of the dead into `aborted`
 * and those of the stopped into `quarantined`, so that nobody waits for them. One reader copies.
 *
 * Held to:  what the reader accepts is complete and belongs to its sequence; no sequence is
 *           delivered twice; a late owner whose claim was revoked finds its slot quarantined under
 *           its own name, never in somebody else's hands; the reader always comes to the end.
 *
 * Mutations (each must fail):
 *   -DMUT_NOCHECK        the reader does not look at the stamp again after copying
 *   -DMUT_ABORT_STOPPED  a stopped publisher's claim is aborted, as if it were dead
 *   -DMUT_NOREAP         nobody aborts the claims of the dead: the reader waits for ever
 */
#define CAP 2                       /* the daemon names its slots one by one */
#ifndef NP
#define NP 2
#endif
#ifndef NE
#define NE 2                        /* events of each publisher */
#endif
#define MAXS (NP * NE + CAP + 4)

#define EMPTY 0                     /* the states in a stamp */
#define CLAIMED 1
#define COMMITTED 2
#define ABORTED 3
#define QUAR 4
#define FINAL(x) (x == COMMITTED || x == ABORTED || x == EMPTY)

typedef slot_t {
  byte seq; byte st; byte own;      /* the stamp: one 64-bit word, always touched as one */
  byte w0; byte w1                  /* the content */
};

slot_t s[CAP];
byte tail = CAP;                    /* sequences start at CAP, so that a lap before exists */
bool dead[NP], stopped[NP], gone[NP];
bool delivered[MAXS];

/* CAS slot(t).stamp: lap before -> claimed(t, me); a quarantined slot is stepped over */
inline claim(ok) {
  atomic {
    if
    :: s[i].seq == t - CAP && FINAL(s[i].st) ->
         s[i].seq = t; s[i].st = CLAIMED; s[i].own = me; ok = true
    :: s[i].seq == t - CAP && s[i].st == QUAR ->
         s[i].seq = t; ok = false
    :: else ->
         ok = false
    fi
  }
}

inline help_tail() {
  atomic { if :: s[i].seq == t && tail == t -> tail = t + 1 :: else fi }
}

#define waits_for_lap_before(t, i) (tail == t && s[i].seq == t - CAP && s[i].st == CLAIMED)

inline may_die() { if :: true :: dead[me] = true; goto out fi }

proctype publisher(byte me) {
  byte t, i, n = 0;
  bool ok;
  do
  :: n < NE ->
retry:
     t = tail;
     i = t % CAP;
     claim(ok);
     help_tail();
     if
     :: ok
     :: !ok -> if :: tail < MAXS - 2 :: else -> break fi;
               !waits_for_lap_before(t, i) -> goto retry
     fi;
     if                              /* from here on it may die, or be stopped for a while */
     :: true
     :: !stopped[me] -> dead[me] = true; goto out
     :: stopped[me] = true
     fi;
     s[i].w0 = t;
     may_die();
     s[i].w1 = t;
     may_die();
     stopped[me] = false;
     atomic {                        /* CAS claimed(t, me) -> committed(t) */
       if
       :: s[i].seq == t && s[i].st == CLAIMED && s[i].own == me -> s[i].st = COMMITTED
       :: else ->                    /* revoked: give the slot back */
            assert(s[i].st == QUAR && s[i].own == me);
            s[i].st = ABORTED
       fi
     };
     n++
  :: else -> break
  od;
out:
  gone[me] = true
}

#define IS(k, state, what) (s[k].st == state && what[s[k].own])

inline recover(k) {
  if
#ifndef MUT_NOREAP
  :: atomic { IS(k, CLAIMED, dead) -> s[k].st = ABORTED }
#endif
  :: atomic { IS(k, QUAR, dead) -> s[k].st = ABORTED }
#ifdef MUT_ABORT_STOPPED
  :: atomic { IS(k, CLAIMED, stopped) && !dead[s[k].own] -> s[k].st = ABORTED }
#else
  :: atomic { IS(k, CLAIMED, stopped) && !dead[s[k].own] -> s[k].st = QUAR }
#endif
  fi
}

proctype daemon() {
end:
  do
  :: recover(0)
  :: recover(1)
  od
}

#define verdict_on(c, i) (s[i].seq > c || (s[i].seq == c && s[i].st != CLAIMED && s[i].st != EMPTY))

proctype reader() {
  byte c = CAP, i, q1, st1, o1, a, b;
  bool same;
  do
  :: i = c % CAP;
     atomic { q1 = s[i].seq; st1 = s[i].st; o1 = s[i].own };
     if
     :: q1 == c && st1 == COMMITTED ->
          a = s[i].w0;
          b = s[i].w1;
          atomic {                   /* the second look */
#ifdef MUT_NOCHECK
            same = true;
#else
            same = (s[i].seq == q1 && s[i].st == st1 && s[i].own == o1);
#endif
            if
            :: same -> assert(a == c && b == c && !delivered[c]); delivered[c] = true; c++
            :: else
            fi
          }
     :: q1 == c && (st1 == ABORTED || st1 == QUAR) -> c++
     :: q1 > c -> c = q1 - CAP + 1   /* overrun: lost, jump */
     :: else ->                      /* nothing yet: wait; to wait for ever is an invalid end state */
          if
          :: verdict_on(c, i)
          :: gone[0] && gone[NP - 1] && c == tail -> break
          fi
     fi
  od
}

init {
  byte k;
  atomic {
    k = 0; do :: k < CAP -> s[k].seq = k; k++ :: else -> break od;
    k = 0; do :: k < NP -> run publisher(k); k++ :: else -> break od;
    run daemon(); run reader()
  }
}
