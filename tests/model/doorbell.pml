/* The doorbell: a subscriber that waits on more topics than futex_waitv takes.
 *
 * It parks on one word, the door, in its session object. Publishers know nothing of doors (they do
 * not map them) and ring each topic as ever (park.pml). The daemon answers the door for them: its
 * relay thread sleeps on the wake words of all topics somebody registered for, and when one of them
 * moved it bumps the doors behind it and wakes them.
 *
 *   subscriber: register once, wait for the answer; then, each time:
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
 *   -DMUT_NO_START_RING  a relay that starts again does not ring
 *   -DMUT_BASELINE_LATE  it rings, then notes what it has seen
 *   -DMUT_NO_ANSWER      the subscriber does not wait until the relay knows it
 */
#define NT 2                        /* topics */
#ifndef NP
#define NP 2
#endif
#ifndef NE
#define NE 1                        /* events of each publisher */
#endif
#ifndef KILLS
#define KILLS 1                     /* of the daemon */
#endif

byte events[NT], wake[NT] = 1, rung[NT] = 1, armed[NT], door;
bool claimed[NP];                   /* a publisher inside its claim, on topic at[] */
byte at[NP];
bool dead[NP], frozen[NP], rung_for[NP];
byte seen[NT];                      /* what the subscriber has read of each topic */
bool asleep;                        /* the subscriber, on the door */
bool relay_asleep;                  /* the relay, on all wake words */
bool wanted, answered;              /* registration: in shared memory; the answer */
byte kills;
bool kill_daemon, kill_relay;

inline max(x, v) { atomic { if :: x < v -> x = v :: else fi } }
inline futex_wake(t) { relay_asleep = false }

/* ring topic t, by whoever has to; `stop` is what may happen to him in between */
inline ring(t) {
  x = rung[t];
  if
  :: armed[t] >= x ->
       may_stop();
       atomic { x = wake[t]; wake[t]++ };
       may_stop();
       futex_wake(t);
       may_stop();
       max(rung[t], x + 1)
  :: else
  fi;
  x = 0
}

inline may_stop() { if :: true :: dead[me] = true; goto out :: frozen[me] = true; goto out fi }

proctype publisher(byte me) {
  byte n = 0, x, t;
  do
  :: n < NE ->
     if :: t = 0 :: t = 1 fi;
#ifdef MUT_RING_FIRST
     ring(t);
#endif
     atomic { claimed[me] = true; at[me] = t };
     may_stop();
     atomic { claimed[me] = false; events[t]++; n++ };
     may_stop();
#ifndef MUT_RING_FIRST
     ring(t);
#endif
     may_stop()
  :: else -> break
  od;
out:
  skip
}

proctype subscriber() {
  byte x, y;
  wanted = true;
#ifndef MUT_NO_ANSWER
  answered;
#endif
again:
  x = door;
#ifndef MUT_NOARM
  y = wake[0]; max(armed[0], y);
  y = wake[1]; max(armed[1], y);
#endif
#ifndef MUT_NOLOOK
  if :: seen[0] < events[0] -> seen[0] = events[0]; goto again :: else fi;
  if :: seen[1] < events[1] -> seen[1] = events[1]; goto again :: else fi;
#else
  seen[0] = events[0]; seen[1] = events[1];
#endif
#ifdef MUT_DOOR_LATE
  x = door;
#endif
  y = 0;
  atomic { if :: door == x -> asleep = true :: else fi };
  !asleep -> goto again
}

inline ring_doors() {
  door++;
  asleep = false
}

/* what a relay does on start, and when somebody registers */
inline take_up() {
  wanted;
#ifdef MUT_BASELINE_LATE
  ring_doors();
  noted[0] = wake[0]; noted[1] = wake[1];
#else
  noted[0] = wake[0]; noted[1] = wake[1];
#ifdef MUT_NO_START_RING
  if :: kills > 0 :: else -> ring_doors() fi;
#else
  ring_doors();
#endif
#endif
  answered = true
}

inline relay_topic(t) {
#ifdef MUT_SEEN_LATE
  ring_doors();
  noted[t] = wake[t]
#else
  noted[t] = wake[t];
  ring_doors()
#endif
}

proctype relay() {
  byte noted[NT];
start:
  {
    {
      take_up();
      do
      :: wake[0] != noted[0] -> relay_topic(0)
      :: wake[1] != noted[1] -> relay_topic(1)
      :: atomic { wake[0] == noted[0] && wake[1] == noted[1] -> relay_asleep = true };
         !relay_asleep
      od
    } unless {
      atomic { kill_relay -> kill_relay = false; relay_asleep = false; noted[0] = 0; noted[1] = 0 }
    }
  };
  goto start
}

/* The daemon's main thread: kill -9 takes it and the relay together. What it knows of publishers it
 * finds again in shared memory: an entry is done with (rung_for) only when it was rung for. */
inline attend(k) {
  x = at[k];
#ifdef MUT_REAP_RING_FIRST
  if :: armed[x] >= rung[x] -> wake[x]++; futex_wake(x) :: else fi;
  atomic { if :: claimed[k] -> claimed[k] = false; events[x]++ :: else fi };
#else
  atomic { if :: claimed[k] -> claimed[k] = false; events[x]++ :: else fi };
#ifndef MUT_NOSWEEP
  if :: armed[x] >= rung[x] -> wake[x]++; futex_wake(x) :: else fi;
#endif
#endif
  rung_for[k] = true;
  x = 0
}

#define IN_TROUBLE(k) ((dead[k] || frozen[k]) && !rung_for[k])

proctype daemon() {
  byte x;
again:
  {
    {
      do
      :: IN_TROUBLE(0) -> attend(0)
      :: NP > 1 && IN_TROUBLE(NP - 1) -> attend(NP - 1)
      od
    } unless { atomic { kill_daemon -> kill_daemon = false; x = 0 } }
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
  assert(seen[0] == events[0] && seen[1] == events[1])
}

init {
  byte k = 0;
  atomic {
    run daemon(); run relay(); run killer();
    run subscriber(); run monitor();
    do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
