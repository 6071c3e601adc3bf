/* Parking: subscribers that sleep on a topic's wake word, publishers that may never ring.
 *
 * NP publishers, each of which may die or freeze for good after any step; NS subscribers that read all
 * there is and park when there is nothing.
 *
 *   subscriber: x = wake; armed = max(armed, x); look again; futex_wait(wake, x)
 *   publisher:  commit; if armed >= rung: y = wake++; futex_wake(wake); rung = max(rung, y + 1)
 *
 * `armed` is written by subscribers, `wake` and `rung` by publishers: rung AFTER the wake, so that as
 * long as somebody may still be asleep `armed >= rung` says so to everybody, the daemon included.
 *
 * -DBELL   the daemon rings for the dead, if armed >= rung
 * -DSWEEP  it rings for the frozen, too
 * Held to:  when all is quiet every subscriber has read everything. That needs both.
 *
 * Variants that hold as well:
 *   -DONEGOOD  no help at all, but the last publisher lives, and publishes once more after the
 *              others have ended
 *   -DNODEATH -DSUBSTOP -DNS=1 -DMAXSYS=n  a subscriber never runs again once it has been asleep:
 *              publishers make no more than n = 2 * NP system calls for it, ever
 *   -DFLAGS    one parked flag a subscriber in place of armed and rung: as safe, but with -DSUBSTOP
 *              it costs a system call an event
 * Mutations (each must fail):
 *   neither, or only one, of -DBELL and -DSWEEP
 *   -DMUT_NOLOOK     no second look after arming
 *   -DMUT_RUNG_FIRST rung is stored before the wake
 *   -DARMEQ          ring if armed == wake, no rung: who died in between has silenced all the others
 *                    (-DONEGOOD fails)
 */
#ifndef NP
#define NP 2
#endif
#ifndef NS
#define NS 2
#endif
#ifndef NE
#define NE 1
#endif
#ifndef MAXSYS
#define MAXSYS 200
#endif
#if !defined(FLAGS) && !defined(ARMEQ)
#define RUNG
#endif
#if defined(BELL) && defined(SWEEP)
#define BOTH
#endif

byte wake = 1, armed, rung = 1;
bool unread[NS];                    /* there is something this subscriber has not read */
bool parked[NS], asleep[NS];
bool dead[NP], frozen[NP], served[NP];
byte ended, syscalls;
bool slept0;                        /* subscriber 0 has gone to sleep */

inline max(word, v) { atomic { if :: word < v -> word = v :: else fi } }

inline futex_wake() {
  atomic {
#ifdef SUBSTOP
    if :: slept0 -> syscalls++; assert(syscalls <= MAXSYS) :: else fi;
#endif
    k = 0;
    do :: k < NS -> asleep[k] = false; k++ :: else -> break od;
    k = 0
  }
}

#ifdef ONEGOOD
#define MORTAL (me != NP - 1)
#else
#define MORTAL true
#endif

inline may_stop() {
#ifdef NODEATH
  skip
#else
  if
  :: true
  :: atomic { MORTAL -> dead[me] = true; goto out }
#ifndef BOTH                         /* with both, the daemon treats the two alike */
  :: atomic { MORTAL -> frozen[me] = true; goto out }
#endif
  fi
#endif
}

#ifdef RUNG
inline ring() {
  x = rung;
  if
  :: armed >= x ->
       atomic { x = wake; wake++ };
       may_stop();
#ifdef MUT_RUNG_FIRST
       max(rung, x + 1);
       may_stop();
       futex_wake()
#else
       futex_wake();
       may_stop();
       max(rung, x + 1)
#endif
  :: else
  fi;
  x = 0
}
#endif

#ifdef FLAGS
inline ring() {
  k = 0; x = 0;
  do :: k < NS -> if :: parked[k] -> x = 1 :: else fi; k++ :: else -> break od;
  k = 0;
  if :: x == 1 -> wake++; may_stop(); futex_wake() :: else fi;
  x = 0
}
#endif

#ifdef ARMEQ
inline ring() {
  x = wake;
  if
  :: armed == x ->
       atomic { if :: wake == x -> wake++ :: else -> x = 0 fi };
       may_stop();
       if :: x != 0 -> futex_wake() :: else fi
  :: else
  fi;
  x = 0
}
#endif

proctype publisher(byte me) {
  byte n = 0, k, x;
  do
  :: n < NE ->
#ifdef ONEGOOD
     if :: me == NP - 1 && n == NE - 1 -> ended == NP - 1 :: else fi;
#endif
     atomic {                       /* commit; a full fence */
       n++;
       do :: k < NS -> unread[k] = true; k++ :: else -> break od;
       k = 0
     };
     may_stop();
     ring()
  :: else -> break
  od;
out:
  ended++
}

proctype subscriber(byte me) {
  byte x;
  do
  :: unread[me] -> unread[me] = false
  :: else ->
     x = wake;
#ifdef FLAGS
     parked[me] = true;
#else
     max(armed, x);
#endif
     /* full fence */
#ifndef MUT_NOLOOK
     if :: unread[me] -> goto again :: else fi;
#endif
     atomic {                       /* futex_wait(wake, x) */
       if :: wake == x -> asleep[me] = true; slept0 = slept0 || me == 0 :: else fi;
       x = 0
     };
#ifdef SUBSTOP
     !asleep[me] && !(me == 0 && slept0);
#else
     !asleep[me];
#endif
again:
     x = 0;
#ifdef FLAGS
     parked[me] = false
#endif
  od
}

inline serve() {
#ifdef RUNG
  if :: armed >= rung -> wake++; futex_wake() :: else fi
#else
  wake++;
  futex_wake()
#endif
}

proctype daemon() {
  byte k;
  do
#ifdef BELL
  :: atomic { dead[0] && !served[0] -> served[0] = true }; serve()
  :: atomic { dead[NP - 1] && !served[NP - 1] -> served[NP - 1] = true }; serve()
#endif
#ifdef SWEEP
  :: atomic { frozen[0] && !served[0] -> served[0] = true }; serve()
  :: atomic { frozen[NP - 1] && !served[NP - 1] -> served[NP - 1] = true }; serve()
#endif
  :: false
  od
}

proctype monitor() {
  byte k;
  timeout;
#ifndef SUBSTOP
  do :: k < NS -> assert(!unread[k]); k++ :: else -> break od
#endif
}

init {
  byte k = 0;
  atomic {
    run daemon(); run monitor();
    do :: k < NP -> run publisher(k); k++ :: else -> break od;
    k = 0;
    do :: k < NS -> run subscriber(k); k++ :: else -> break od
  }
}
