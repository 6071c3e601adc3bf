/* When publishers stop waiting for a reader: one clock for each lease.
 *
 * Any publisher that finds no room looks how far the reader has come. Who finds it farther than
 * anybody before (`seen`) raises `since` to the present time, then swaps `seen`; who finds it no
 * farther marks it if LIMIT has passed between `since` and the time before that look (lossy.pml goes
 * on from there). A publisher may stop between any two steps, for any time: so the time of what is
 * noted is taken after the look, and the time it is compared with before the look.
 *
 * NP publishers, one reader that moves MOVES times, a clock that runs to TMAX.
 *
 * Held to:  who is marked had stood where it was found for at least LIMIT when it was found there.
 *
 * Mutations (each must fail):
 *   -DMUT_SEEN_FIRST  `seen` before `since`: another sees the new place under the old time
 *   -DMUT_TIME_BACK   `since` is stored, not raised: who was stopped for long takes the time back
 *   -DMUT_NOTE_EARLY  what is noted has the time before the look: it was not there yet
 *   -DMUT_JUDGE_LATE  what is compared is the time after the look: it was there no more
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
#define MOVES 2
#endif

byte time;
byte cur;                 /* readers: how far the reader has come */
byte seen, since;         /* ring: its watch */
byte moved[MOVES + 1];    /* ghost: when the reader came there */

active proctype clock() {
  do :: time < TMAX -> time++ :: else -> break od
}

active proctype reader() {
  do :: cur < MOVES -> atomic { cur++; moved[cur] = time } :: break od
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

active [NP] proctype publisher() {
  byte now, c, s, t, at;
  do
  :: time < TMAX ->
     now = time;
     atomic { c = cur; at = time };
#ifdef MUT_JUDGE_LATE
     now = time;
#endif
     s = seen;
     if
     :: c > s ->
#ifdef MUT_SEEN_FIRST
          atomic { if :: seen == s -> seen = c :: else fi };
          note_time()
#else
          note_time();
          atomic { if :: seen == s -> seen = c :: else fi }
#endif
     :: else ->
          t = since;
          assert(now < t || now - t < LIMIT || at - moved[c] >= LIMIT)
     fi;
     now = 0; c = 0; s = 0; t = 0; at = 0
  :: break
  od
}
