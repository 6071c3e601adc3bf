/* Gates: cached ones, and a subscriber that joins a `block` topic in the past.
 *
 * CAP slots; NP publishers that cache the gate and look at the readers again only when they meet it;
 * one old subscriber, which may leave; one that joins at the oldest event still in the ring. Only the
 * tail and overwriting matter: publishing s destroys s - CAP.
 *
 * Held to:  once the join is complete, nothing past its start is destroyed before it is acknowledged.
 *
 * Without -DTWOSIDED the joiner announces itself and trusts publishers to look: a cached gate lets
 * them overwrite what it waits for (fails). With it, publishers store the gate they are about to use in their
 * table entry, then (full fence) look at the readers again; the joiner announces itself, then (full
 * fence) starts no lower than the largest of these gates.
 *
 * Variants of -DTWOSIDED that hold as well:
 *   -DNO_OLD       the table is empty before the join: the gate is then the tail, read before the table
 *   -DENTRY_REUSE  the joiner's entry shows an old, larger cursor, and it sets `attached` first
 *   -DJOIN_NEW     it starts at the tail, read again after it was announced
 *   -DSTEP=n       publishers never take a gate more than n ahead of what they need now, so that the
 *                  joiner loses at most n of what is still in the ring
 * Mutations (each must fail):
 *   -DMUT_ONELOOK  no second look at the readers after the gate was stored
 *   -DMUT_NOPG     the joiner does not look at the publishers' entries
 *   -DMUT_NOSTORE  the publishers do not store the gate
 */
#ifndef CAP
#define CAP 2
#endif
#ifndef NP
#define NP 2
#endif
#ifndef MAXS
#define MAXS 5
#endif
#define NONE 255

byte tail = CAP + 1;                /* 1 .. CAP are in the ring */
byte cur[2];                        /* readers: cursor, attached */
bool att[2];
byte pg[NP];                        /* publishers' entries: the gate in use */
byte start;                         /* ghosts */
bool joined;
byte destroyed;                     /* the largest sequence destroyed */

/* The lowest cursor. Attached and cursor of an entry are two reads. */
inline table_min(m) {
  m = NONE;
  if :: att[0] -> m = cur[0] :: else fi;
  if
  :: att[1] -> atomic { if :: cur[1] < m -> m = cur[1] :: else fi }
  :: else
  fi
}

inline refresh_gate() {
  t0 = tail;                        /* nobody attached: no gate below the tail as it was before */
  table_min(m);
  if :: m == NONE -> m = t0 - 1 :: else fi;
#ifdef STEP
  if :: m > s - CAP + STEP -> m = s - CAP + STEP :: else fi;
#endif
#ifdef TWOSIDED
#ifndef MUT_NOSTORE
  if :: m > pg[me] -> pg[me] = m :: else fi;
#endif
  /* full fence */
#ifndef MUT_ONELOOK
  table_min(m2);
  if :: m2 < m -> m = m2 :: else fi;
#endif
#endif
  g = m;
  m = 0; m2 = 0; t0 = 0
}

proctype publisher(byte me) {
  byte s, g, m, m2, t0;
  do
  :: tail >= MAXS -> break
  :: else ->
     s = tail;
     if :: s - CAP > g -> refresh_gate() :: else fi;
     if
     :: s - CAP <= g ->
          atomic {
            if
            :: tail == s ->
                 tail = s + 1; destroyed = s - CAP;
                 assert(!(joined && att[1] && destroyed > cur[1] && destroyed > start))
            :: else
            fi
          }
     :: else -> if :: true :: break fi
     fi
  od
}

proctype old_subscriber() {
#ifdef NO_OLD
  att[0] = false
#else
end:
  do
  :: cur[0] + 1 < tail -> cur[0]++
  :: att[0] = false; break
  :: tail >= MAXS -> break
  od
#endif
}

inline announce(c) {
#ifdef ENTRY_REUSE
  att[1] = true;
  cur[1] = c
#else
  cur[1] = c;
  att[1] = true
#endif
}

proctype joiner() {
  byte b, c = tail;
  if :: c > CAP + 1 -> c = c - CAP - 1 :: else -> c = 0 fi;   /* below the oldest in the ring */
  announce(c);
  b = c;
#ifdef JOIN_NEW
  b = tail - 1;
  cur[1] = b;
#endif
  /* full fence */
#if defined(TWOSIDED) && !defined(MUT_NOPG)
  atomic { if :: pg[0] > b -> b = pg[0] :: else fi };
  atomic { if :: pg[NP - 1] > b -> b = pg[NP - 1] :: else fi };
  cur[1] = b;
#endif
  atomic {                          /* what it finds gone already, it reports as lost */
    if :: destroyed > b -> b = destroyed; cur[1] = b :: else fi;
    start = b; joined = true
  };
end:
  do
  :: cur[1] + 1 < tail -> cur[1]++
  :: tail >= MAXS -> break
  od
}

init {
  byte k = 0;
  atomic {
    att[0] = true;
#ifdef ENTRY_REUSE
    cur[1] = 6;
#endif
#ifdef NO_OLD
    att[0] = false;
#endif
    run old_subscriber(); run joiner();
    do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
