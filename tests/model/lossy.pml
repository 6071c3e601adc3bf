/* Readers that are no gate any more: the lossy mark of a `block` topic, and how one comes back.
 *
 * Publishers cannot write to the readers object. They mark a reader which has not moved for
 * `evict_after` by writing its attach token into a table in the ring; as long as the reader's entry
 * shows that token it is skipped as a gate. A reader that finds itself marked picks a token never
 * used before in this entry and joins again by the two-sided rule (gate.pml).
 *
 * The mark is a CAS: the publisher reads the mark, then the token, then swaps; whoever was late
 * fails. NP publishers, one reader, CAP slots.
 *
 * Held to:  nothing a joined reader still wants is destroyed unless it is marked under its present
 *           token; a reader that finds an event gone also finds itself marked (so it knows why).
 *
 * Variants that hold as well:
 *   -DMARK_MAX        the mark is a maximum (tokens must then rise)
 *   -DTOKEN_FIRST     the new token is shown before the cursor it stands for
 * Mutations (each must fail):
 *   -DMUT_MARK_STORE  the mark is a plain store: a late one takes a newer one back
 *   -DMUT_MARK_ORDER  the old mark is read after the token
 *   -DMUT_ONESIDED    the reader that comes back does not look at the publishers' gates
 *   -DMUT_ONELOOK     publishers do not look again after they stored their gate
 *   -DMUT_SAME_TOKEN  the reader that comes back alternates between two tokens (needs -DREJOINS=2)
 */
#ifndef CAP
#define CAP 1
#endif
#ifndef NP
#define NP 2
#endif
#ifndef MAXS
#define MAXS 4
#endif
#ifndef REJOINS
#define REJOINS 1
#endif
#define NONE 255

byte tail = CAP + 1;
byte lossy;                         /* ring: the mark on the reader's entry; 0 none */
byte pg[NP];                        /* ring: the gate each publisher uses */
byte tok = 1, cur;                  /* readers: the entry */
byte start, destroyed;              /* ghosts */
bool joined = true;

/* the gate as this reader's entry shows it: its token, the mark, its cursor */
inline look(m) {
  tk = tok;
  m = lossy;
  if :: m == tk -> m = NONE :: else -> m = cur fi;
  tk = 0
}

inline refresh_gate() {
  t0 = tail;
  look(m);
  if :: m == NONE -> m = t0 - 1 :: else fi;
  if :: m > pg[me] -> pg[me] = m :: else fi;
  /* full fence */
#ifndef MUT_ONELOOK
  look(m2);
  if :: m2 < m -> m = m2 :: else fi;
#endif
  g = m;
  m = 0; m2 = 0; t0 = 0
}

/* The publisher has found this reader standing still, and marks it: reads the mark, then the token,
 * then swaps. That it stood still is for the clock to say; here it may be marked any time. */
inline mark() {
#ifdef MUT_MARK_ORDER
  tk = tok;
  lo = lossy;
#else
  lo = lossy;
  tk = tok;
#endif
  atomic {
#ifdef MUT_MARK_STORE
    lossy = tk;
#elif defined(MARK_MAX)
    if :: lossy < tk -> lossy = tk :: else fi;
#else
    if :: lossy == lo -> lossy = tk :: else fi;
#endif
    lo = 0; tk = 0
  }
}

proctype publisher(byte me) {
  byte s, g, m, m2, t0, lo, tk;
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
                 assert(!joined || destroyed <= cur || destroyed <= start || lossy == tok)
            :: else
            fi
          }
     :: else ->                     /* no room: try again, give up, or mark who stands in the way */
          if
          :: true
          :: break
          :: mark()
          fi
     fi
  od
}

/* A new token with c as the cursor: joined again at the end of it. c may be lower than the old one:
 * that is a seek back into what is still in the ring. */
inline rejoin() {
  atomic { joined = false; n++ };
#ifdef TOKEN_FIRST
  tok = tok + 1;
  cur = c;
#else
  cur = c;
#ifdef MUT_SAME_TOKEN
  tok = 3 - tok;
#else
  tok = tok + 1;
#endif
#endif
  /* full fence */
#ifndef MUT_ONESIDED
  atomic { if :: pg[0] > c -> c = pg[0] :: else fi };
  atomic { if :: pg[NP - 1] > c -> c = pg[NP - 1] :: else fi };
  cur = c;
#endif
  atomic {
    if :: destroyed > c -> c = destroyed; cur = c :: else fi;
    start = c; joined = true; c = 0
  }
}

proctype reader() {
  byte c, n;
end:
  do
  :: atomic { cur + 1 < tail && destroyed <= cur -> cur++ }
  :: atomic { destroyed > cur -> assert(lossy == tok) };        /* overrun: it knows why */
     if :: n < REJOINS -> c = destroyed; rejoin() :: else -> break fi
  :: atomic { lossy == tok && n < REJOINS -> c = cur };         /* marked, nothing lost yet */
     rejoin()
  :: atomic { cur > destroyed && n < REJOINS -> c = destroyed }; /* seek back */
     rejoin()
  :: tail >= MAXS -> break
  od
}

init {
  byte k = 0;
  atomic {
    run reader();
    do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
