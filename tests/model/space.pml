/* Space: publishers of a `block` topic that wait for the slowest reader. park.pml in a mirror.
 *
 * Publishers cannot write to the readers object, subscribers not to the ring. So publishers arm
 * themselves in the ring (`armed`, a maximum); the word they sleep on (`space`) and `rung` lie in the
 * readers object, where subscribers write:
 *
 *   publisher:  no room: x = space; armed = max(armed, x); look at all cursors again;
 *               futex_wait(space, x), never longer than evict_after, whoever is in the way
 *   subscriber: cursor = c; if armed >= rung: y = space++; futex_wake(space); rung = max(rung, y + 1)
 *
 * Who leaves rings too; the daemon rings for those it reaps, after it cleared their entry. Subscribers
 * may die or freeze after any step. A reader that stays frozen is marked lossy by a publisher
 * (lossy.pml): that makes room, but publishers cannot bump `space`, so nobody rings; the others get
 * on because every sleeper has its own timer.
 *
 * Held to:  when all is quiet, no publisher sleeps.
 *
 * -DLOYAL  nobody dies, freezes or leaves
 *
 * Mutations (each must fail):
 *   -DMUT_NOLOOK          no second look after arming
 *   -DMUT_RING_FIRST      subscribers ring before they move the cursor
 *   -DMUT_RUNG_FIRST      rung is stored before the wake: who dies between has the daemon fooled
 *   -DMUT_NO_LEAVE_RING   who leaves does not ring
 *   -DMUT_NO_REAP_RING    the daemon does not ring for the dead
 *   -DMUT_REAP_RING_FIRST it rings before it clears the entry
 *   -DMUT_ONE_TIMER       only one of the sleeping publishers has a timer
 */
#define CAP 1
#define NP 2
#ifndef NS
#define NS 2                        /* 1 or 2 */
#endif
#define LAST (NS - 1)
#ifndef MAXS
#define MAXS 4                      /* the tail at which publishers are content */
#endif

byte tail = CAP + 1;                /* 1 .. CAP are in the ring, nobody has read them */
byte cur[NS];                       /* readers' entries */
bool attached[NS] = true, lossy[NS];
byte space = 1, rung = 1, armed;
bool space_moved[NP];               /* space != x, what this publisher read before it armed */
bool asleep[NP];
bool dead[NS], frozen[NS], reaped[NS];
bool timer[NP * NS];                /* this publisher's timer for that reader is over */

#define STANDS_IN_THE_WAY(r, s) (attached[r] && !lossy[r] && cur[r] < s - CAP)

inline max(word, v) { atomic { if :: word < v -> word = v :: else fi } }

/* one look at each entry */
inline look(s) {
  room = !STANDS_IN_THE_WAY(0, s);
  if :: room && NS > 1 -> room = !STANDS_IN_THE_WAY(LAST, s) :: else fi
}

/* it has seen this reader in the same place for evict_after */
inline mark_the_frozen() {
  if :: timer[me * NS] && STANDS_IN_THE_WAY(0, s) -> lossy[0] = true; goto again :: else fi;
  if :: timer[me * NS + LAST] && STANDS_IN_THE_WAY(LAST, s) -> lossy[LAST] = true; goto again :: else fi
}

#ifdef MUT_ONE_TIMER
#define HAS_TIMER (me == 0)
#else
#define HAS_TIMER true
#endif
#define TIMER(r) (HAS_TIMER && frozen[r] && !timer[me * NS + r])

proctype publisher(byte me) {
  byte s, y;
  bool room;
  do
  :: tail < MAXS ->
again:
     s = tail;
     look(s);
     if
     :: room ->
          atomic { room = false; if :: tail == s -> tail = s + 1 :: else fi }
     :: else ->
          mark_the_frozen();
          atomic { y = space; space_moved[me] = false };
          max(armed, y);
          y = 0;
          /* full fence */
#ifndef MUT_NOLOOK
          look(s);
          if :: room -> goto again :: else fi;
#endif
          atomic { if :: !space_moved[me] -> asleep[me] = true :: else fi };
          if
          :: !asleep[me]
          :: atomic { asleep[me] && TIMER(0) -> timer[me * NS] = true; asleep[me] = false }
          :: atomic { asleep[me] && TIMER(LAST) -> timer[me * NS + LAST] = true; asleep[me] = false }
          fi
     fi;
     s = 0
  :: else -> break
  od
}

inline bump() { space++; space_moved[0] = true; space_moved[1] = true }
inline futex_wake() { atomic { asleep[0] = false; asleep[1] = false } }

inline ring() {
  y = rung;
  if
  :: armed >= y ->
       atomic { y = space; bump() };
       may_stop();
#ifdef MUT_RUNG_FIRST
       max(rung, y + 1);
       may_stop();
       futex_wake()
#else
       futex_wake();
       may_stop();
       max(rung, y + 1)
#endif
  :: else
  fi;
  y = 0
}

byte stops;                         /* one reader in trouble is enough */
inline may_stop() {
  if
  :: true
#ifndef LOYAL
  :: atomic { stops == 0 -> stops++; dead[me] = true; goto out }
  :: atomic { stops == 0 -> stops++; frozen[me] = true; goto out }
#endif
  fi
}

proctype subscriber(byte me) {
  byte y;
  bool leaves;
#ifndef LOYAL
  if :: true :: leaves = true fi;   /* decided now: who may leave any time would hide a lost wake-up */
#endif
  do
  :: cur[me] + 1 < tail ->
#ifdef MUT_RING_FIRST
       ring();
       cur[me] = cur[me] + 1
#else
       cur[me] = cur[me] + 1;       /* acknowledge; a full fence */
       may_stop();
       ring()
#endif
  :: leaves -> may_stop();          /* dies where it is, or leaves */
     attached[me] = false;
     may_stop();
#ifndef MUT_NO_LEAVE_RING
     ring();
#endif
     break
  od;
out:
  skip
}

inline reap(r) {
#ifdef MUT_REAP_RING_FIRST
  if :: armed >= rung -> atomic { bump() }; futex_wake() :: else fi;
  attached[r] = false;
#else
  attached[r] = false;
#ifndef MUT_NO_REAP_RING
  if :: armed >= rung -> atomic { bump() }; futex_wake() :: else fi;
#endif
#endif
  reaped[r] = true
}

proctype daemon() {
  do
  :: dead[0] && !reaped[0] -> reap(0)
  :: NS > 1 && dead[LAST] && !reaped[LAST] -> reap(LAST)
  od
}

proctype monitor() {
  timeout;
  assert(!asleep[0] && !asleep[1])
}

init {
  atomic {
    run daemon(); run monitor();
    run subscriber(0);
#if NS > 1
    run subscriber(1);
#endif
    run publisher(0); run publisher(1)
  }
}
