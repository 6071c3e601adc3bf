/* An exclusive publisher: one per topic, by lease; plain stores in place of the three CASes.
 *
 *     s = tail;  stamp = claimed(s, me);  tail = s + 1;  content;  stamp = committed(s)
 *
 * NH processes hold the lease one after the other. The holder may die at any step, or be stopped for
 * any time. The daemon waits until it is really dead (its pidfd; neither the robust futex, which
 * speaks of one thread only, nor silence), aborts its claim, repairs the tail and hands the lease on.
 * The daemon itself may be killed in the middle of that, and starts again. One reader copies.
 *
 * Held to:  a sequence gets one verdict; what is accepted is complete; the reader comes to the end.
 *
 * Mutations (each must fail):
 *   -DMUT_STOPPED      the lease is handed on while the holder is only stopped (its plain stores,
 *                      or those of a dead thread's siblings, still come)
 *   -DMUT_NOMARK       no claim mark: content is written under the stamp of the lap before
 *                      (a reader still on that lap copies it; -DNODIE shows that death is not needed)
 *   -DMUT_TAIL_FIRST   tail is stored before the claim mark
 *   -DMUT_NOREPAIR     the daemon does not move the tail past a claim whose owner died before it could
 *   -DMUT_LEASE_FIRST  the lease is handed on before the claim is aborted
 *   -DMUT_NOABORT      a dead holder's claim is left as it is
 */
#ifndef CAP
#define CAP 2
#endif
#ifndef NH
#define NH 3                        /* holders, one after the other */
#endif
#ifndef NE
#define NE 3                        /* events of each */
#endif
#define MAXS (CAP + NH * (NE + 1) + 1)
#define NOBODY 255

#define EMPTY 0
#define CLAIMED 1
#define COMMITTED 2
#define ABORTED 3
#define EVENT 1
#define TOMB 2

typedef slot_t { byte seq; byte st; byte own; byte w0; byte w1 };

slot_t s[CAP];
byte tail = CAP;
byte lease = 0;                     /* who holds it; NOBODY while it is handed on */
bool dead[NH], paused[NH];
byte verdict[MAXS];

inline decide(q, v) { assert(verdict[q] == 0 || verdict[q] == v); verdict[q] = v }

/* die, or be stopped for a while: `paused` alone changes nothing, the daemon must not act on it */
inline trouble() {
  if
  :: true
#ifndef NODIE
  :: dead[me] = true; goto out
#endif
  :: paused[me] = true; paused[me] = false
  fi
}

inline mark() { atomic { s[i].seq = t; s[i].st = CLAIMED; s[i].own = me } }

proctype publisher(byte me) {
  byte t, i, n = 0;
  lease == me;
  do
  :: n < NE ->
     t = tail;
     i = t % CAP;
     trouble();
#ifdef MUT_TAIL_FIRST
     tail = t + 1;
     trouble();
     mark();
#else
#ifndef MUT_NOMARK
     mark();
     trouble();
#endif
     tail = t + 1;
#endif
     trouble();
     s[i].w0 = t;
     trouble();
     s[i].w1 = t;
     trouble();
     atomic { s[i].seq = t; s[i].st = COMMITTED; s[i].own = me; decide(t, EVENT) };
     n++
  :: else -> break
  od;
  dead[me] = true;                  /* it ends; the next one gets the lease */
out:
  skip
}

byte crashes;
inline crash() { if :: true :: atomic { crashes < 2 -> crashes++; k = 0; t = 0; next = 0; goto again } fi }

#define OVER(h) (dead[h] || SUSPECT(h))
#ifdef MUT_STOPPED
#define SUSPECT(h) paused[h]
#else
#define SUSPECT(h) false
#endif

/* CAS claimed(.., h) -> aborted; the daemon reads the stamp, then swaps it */
inline abort_claims(h) {
  k = 0;
  do
  :: k < CAP ->
     atomic {
       if
       :: s[k].st == CLAIMED && s[k].own == h -> decide(s[k].seq, TOMB); s[k].st = ABORTED
       :: else
       fi
     };
     crash();
     k++
  :: else -> break
  od;
  k = 0
}

inline repair_tail() {
#ifndef MUT_NOREPAIR
  t = tail;
  atomic {
    if :: s[t % CAP].seq == t && s[t % CAP].st != EMPTY && tail == t -> tail = t + 1 :: else fi
  };
  t = 0;
  crash()
#else
  skip
#endif
}

proctype daemon() {
  byte h = 0, next, k, t;
again:
  do
  :: h < NH ->                      /* `h` is what the lease word in shared memory says */
end: OVER(h);
     next = h + 1;
#ifdef MUT_LEASE_FIRST
     lease = next;
#endif
#ifndef MUT_NOABORT
     abort_claims(h);
#endif
     repair_tail();
     atomic { h = next; lease = next; next = 0 }
  :: else -> break
  od
}

#define verdict_on(c, i) (s[i].seq > c || (s[i].seq == c && s[i].st >= COMMITTED))

proctype reader() {
  byte c = CAP, i, q1, st1, a, b;
  bool same;
  do
  :: i = c % CAP;
     atomic { q1 = s[i].seq; st1 = s[i].st };
     if
     :: q1 == c && st1 == COMMITTED ->
          a = s[i].w0;
          b = s[i].w1;
          atomic {
            same = (s[i].seq == q1 && s[i].st == st1);
            if :: same -> assert(a == c && b == c && verdict[c] == EVENT); c++ :: else fi
          }
     :: q1 == c && st1 == ABORTED -> assert(verdict[c] == TOMB); c++
     :: q1 > c -> c = q1 - CAP + 1
     :: else ->
          if
          :: verdict_on(c, i)
          :: lease == NH && c >= tail -> break
          fi
     fi
  od
}

init {
  byte k = 0;
  atomic {
    do
    :: k < CAP ->                   /* a lap before, complete */
       s[k].seq = k; s[k].st = COMMITTED; s[k].own = NOBODY; s[k].w0 = k; s[k].w1 = k;
       verdict[k] = EVENT; k++
    :: else -> break
    od;
    k = 0; do :: k < NH -> run publisher(k); k++ :: else -> break od;
    run daemon(); run reader()
  }
}
