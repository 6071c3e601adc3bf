/* The doorbell: a subscriber that waits on more topics than futex_waitv takes.
 *
 * It parks on one word, the door, in its session object. Publishers know nothing of doors (they do
 * not map them) and ring each topic as ever (park.pml). The daemon answers the door for them: its
 * relay thread sleeps on the wake words of all topics somebody registered for, and when one of them
 * moved it bumps the doors behind it and wakes them.
 *
 *   subscriber: register once; then, each time:
 *               x = door; on each topic y = wake, armed = max(armed, y); look at all topics again;
 *               futex_wait(door, x)
 *   publisher:  commit; if armed >= rung: y = wake++; futex_wake(wake); rung = max(rung, y + 1)
 *   relay:      futex_waitv(wake == noted); if wake != noted: noted = wake, ring the doors
 *   relay, on start and when somebody registers: noted = wake of each topic, then ring every door
 *
 * Publishers may die or freeze after any step; the daemon finds `armed >= rung` with nobody at it and
 * rings the topic itself. It may be killed at any step, too, and starts again.
 *
 * Held to:  when all is quiet the subscriber has seen every event.
 *
 * Mutations (each must fail):
 *   -DMUT_NOLOOK         no second look after arming
 *   -DMUT_DOOR_LATE      the door is read after the topics were looked at
 *   -DMUT_NOARM          the subscriber registers, but does not arm
 *   -DMUT_RING_FIRST     publishers ring before they commit
 *   -DMUT_REAP_RING_FIRST  the daemon rings before it gives a dead publisher's claim its verdict
 *   -DMUT_NOSWEEP        nobody rings for the dead and the frozen
 *   -DMUT_SEEN_LATE      the relay rings, then notes what it has seen
 *   -DMUT_NO_START_RING  a relay that starts, or is registered with, does not ring
 *   -DMUT_BASELINE_LATE  it rings, then notes what it has seen
 */
#ifndef NT
#define NT 2                        /* topics: 1 or 2 */
#endif
#define LAST (NT - 1)
#ifndef NP
#define NP 2
#endif
#ifndef NE
#define NE 1                        /* events of each publisher */
#endif
#ifndef KILLS
#define KILLS 1                     /* of the daemon */
#endif

bool news[NT];                      /* something the subscriber has not read */
byte wake[NT] = 1, rung[NT] = 1, armed[NT];
bool wake_moved[NT];                /* wake != noted, what the relay noted last */
bool door_moved;                    /* door != x, what the subscriber read before it armed */
bool claimed[NP];                   /* a publisher inside its claim, on topic at[] */
byte at[NP];
bool lost[NP], rung_for[NP];        /* dead, or frozen for good */
bool asleep;                        /* the subscriber, on the door */
bool relay_asleep;                  /* the relay, on all wake words */
bool wanted;                        /* the registration: found again by a new daemon */
byte kills;
bool kill_daemon, kill_relay;

inline max(word, v) { atomic { if :: word < v -> word = v :: else fi } }
inline bump(t) { atomic { wake[t]++; wake_moved[t] = true } }
inline futex_wake(t) { relay_asleep = false }

/* ring topic t, by whoever has to; `stop` is what may happen to him in between */
inline ring(t) {
  x = rung[t];
  if
  :: armed[t] >= x ->
       atomic { x = wake[t]; wake[t]++; wake_moved[t] = true };
       may_stop();
       futex_wake(t);
       may_stop();
       max(rung[t], x + 1)
  :: else
  fi;
  x = 0
}

inline may_stop() { if :: true :: lost[me] = true; goto out fi }

proctype publisher(byte me) {
  byte n = 0, x, t;
  do
  :: n < NE ->
     atomic {
       if
       :: t = 0
#if NT > 1
       :: t = 1
#endif
       fi;
       at[me] = t
     };
#ifdef MUT_RING_FIRST
     ring(t);
#endif
     claimed[me] = true;
     may_stop();
     atomic { claimed[me] = false; news[t] = true; n++ };   /* commit */
     may_stop();
#ifndef MUT_RING_FIRST
     ring(t)
#endif
  :: else -> break
  od;
out:
  skip
}

inline look() {
  atomic { if :: news[0] -> news[0] = false; goto again :: else fi };
#if NT > 1
  atomic { if :: news[LAST] -> news[LAST] = false; goto again :: else fi }
#endif
}

proctype subscriber() {
  byte y;
  wanted = true;
again:
  door_moved = false;               /* x = door */
#ifdef MUT_NOLOOK
  look();
#endif
#ifndef MUT_NOARM
  y = wake[0]; max(armed[0], y);
#if NT > 1
  y = wake[LAST]; max(armed[LAST], y);
#endif
  y = 0;
#endif
#ifndef MUT_NOLOOK
  look();
#endif
#ifdef MUT_DOOR_LATE
  door_moved = false;               /* x = door */
#endif
  atomic { if :: !door_moved -> asleep = true :: else fi };   /* futex_wait(door, x) */
  !asleep -> goto again
}

inline ring_doors() {
  door_moved = true;                /* door++ */
  asleep = false
}

/* what a relay does on start, and when somebody registers */
inline take_up() {
  wanted;
#ifdef MUT_BASELINE_LATE
  ring_doors();
  wake_moved[0] = false; wake_moved[LAST] = false;
#else
  wake_moved[0] = false; wake_moved[LAST] = false;
#ifdef MUT_NO_START_RING
  skip
#else
  ring_doors()
#endif
#endif
}

inline relay_topic(t) {
#ifdef MUT_SEEN_LATE
  ring_doors();
  wake_moved[t] = false             /* noted = wake */
#else
  wake_moved[t] = false;
  ring_doors()
#endif
}

proctype relay() {
start:
  {
    {
      take_up();
      do
      :: wake_moved[0] -> relay_topic(0)
      :: wake_moved[LAST] -> relay_topic(LAST)
      :: atomic { !wake_moved[0] && !wake_moved[LAST] -> relay_asleep = true };
         !relay_asleep
      od
    } unless {
      atomic { kill_relay -> kill_relay = false; relay_asleep = false }
    }
  };
  goto start
}

/* The daemon's main thread: kill -9 takes it and the relay together. What it knows of publishers it
 * finds again in shared memory: an entry is done with (rung_for) only when it was rung for. */
inline attend(k) {
#ifdef MUT_REAP_RING_FIRST
  if :: armed[at[k]] >= rung[at[k]] -> bump(at[k]); futex_wake(at[k]) :: else fi;
  atomic { if :: claimed[k] -> claimed[k] = false; news[at[k]] = true :: else fi };
#else
  atomic { if :: claimed[k] -> claimed[k] = false; news[at[k]] = true :: else fi };
#ifndef MUT_NOSWEEP
  if :: armed[at[k]] >= rung[at[k]] -> bump(at[k]); futex_wake(at[k]) :: else fi;
#endif
#endif
  rung_for[k] = true
}

#define IN_TROUBLE(k) (lost[k] && !rung_for[k])

proctype daemon() {
again:
  {
    {
      do
      :: IN_TROUBLE(0) -> attend(0)
      :: NP > 1 && IN_TROUBLE(NP - 1) -> attend(NP - 1)
      od
    } unless { atomic { kill_daemon -> kill_daemon = false } }
  };
  goto again
}

proctype killer() {
  do
  :: kills < KILLS -> atomic { kills++; kill_daemon = true; kill_relay = true }
  :: true -> break
  od
}

proctype monitor() {
  timeout;
  assert(!news[0] && !news[LAST])
}

init {
  byte k = 0;
  atomic {
    run daemon(); run relay(); run killer();
    run subscriber(); run monitor();
    do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
