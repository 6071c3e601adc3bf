/* When publishers stop waiting for a reader: one clock for each lease.
 *
 * Any publisher that finds no room looks how far the reader has come: twice its cursor, and one more
 * when the next event is there, as nobody is to blame for standing at another's claim. Who finds it
 * farther than anybody before (`seen`) raises `since` to the present time, then swaps `seen`; who finds
 * it no farther evicts it if LIMIT has passed between `since` and the time before that look: it raises
 * `since` once more, then marks the token that it saw (lossy.pml has more of that). A publisher may stop
 * between any two steps, for any time: so the time of what is noted is taken after the look, and the
 * time it is compared with before the look.
 *
 * NP publishers, one reader that moves MOVES times and comes back with a new token when it was evicted,
 * claims that end some time, a clock that runs to TMAX.
 *
 * Held to:  whoever is evicted had stood where it was found, with the next event there, for at least
 *           LIMIT when it was found there; and as long since the look for which it was evicted before.
 *
 * Mutations (each must fail):
 *   -DMUT_SEEN_FIRST  `seen` before `since`: another sees the new place under the old time
 *   -DMUT_TIME_BACK   `since` is stored, not raised: who was stopped for long takes the time back
 *   -DMUT_NOTE_EARLY  what is noted has the time before the look: it was not there yet
 *   -DMUT_JUDGE_LATE  what is compared is the time after the look: it was there no more
 *   -DMUT_CLAIM_COUNTS  the time at a claim counts
 *   -DMUT_MARK_FIRST  the mark before the time: who comes back is judged by the old one
 */
#ifndef NP
#define NP 2
#endif
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef TMAX
#define TMAX 4
#endif
#ifndef MOVES
#define MOVES 1
#endif

byte time;
byte cur, tok = 1;            /* readers: how far the reader has come, and its token */
byte seen, since, lossy;      /* ring: its watch */
bool there[MOVES + 1];        /* ring: whether the event behind that is there */
byte ready[MOVES + 1];        /* ghost: since when reader and next event are both there */
byte evicted;                 /* ghost: the look for which it was last marked */

active proctype clock() {
  do :: time < TMAX -> time++ :: else -> break od
}

active proctype reader() {
  do
  :: atomic { cur < MOVES && there[cur] -> cur++; if :: there[cur] -> ready[cur] = time :: else fi }
  :: atomic { lossy == tok -> tok++ }
  :: break
  od
}

/* The publishers that claimed, or who revokes. */
active proctype outcome() {
  byte i = 0;
  do
  :: i <= MOVES -> atomic { there[i] = true; if :: cur == i -> ready[i] = time :: else fi; i++ }
  :: i > MOVES -> break
  od
}

inline note_time() {
#ifndef MUT_NOTE_EARLY
  now = time;
#endif
#ifdef MUT_TIME_BACK
  since = now
#else
  atomic { if :: now > since -> since = now :: else fi }
#endif
}

inline mark() {
  atomic { if :: lossy == lo -> lossy = tk; evicted = at :: else fi }
}

active [NP] proctype publisher() {
  byte now, c, s, t, at, lo, tk, was;
  bool more;
  do
  :: time < TMAX ->
     now = time;
     lo = lossy;
     atomic { tk = tok; was = evicted };
     if :: lo == tk -> goto next :: else fi;
     atomic { c = cur; more = there[cur]; at = time };
#ifdef MUT_JUDGE_LATE
     now = time;
#endif
     s = seen;
     if
#ifdef MUT_CLAIM_COUNTS
     :: 2 * c > s ->
#else
     :: 2 * c + more > s ->
#endif
#ifdef MUT_SEEN_FIRST
          atomic { if :: seen == s -> seen = 2 * c + more :: else fi };
          note_time()
#else
          note_time();
          atomic { if :: seen == s -> seen = 2 * c + more :: else fi }
#endif
     :: else ->
          t = since;
          if
          :: !more || now < t || now - t < LIMIT
          :: else ->
               assert(at - ready[c] >= LIMIT);
               assert(was == 0 || at - was >= LIMIT);
#ifdef MUT_MARK_FIRST
               mark();
               note_time()
#else
               note_time();
               mark()
#endif
          fi
     fi;
next:
     now = 0; c = 0; s = 0; t = 0; at = 0; lo = 0; tk = 0; was = 0; more = false
  :: break
  od
}
