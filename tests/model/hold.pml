/* Hold limits: chunks read in place, for longer than the pool can bear, by readers that may die.
 *
 * One chunk. NP allocators publish in it one event after the other; NR readers, each with K hold
 * cells, read it in place. A reader writes {chunk, since} into a cell, sets its bit in the chunk's
 * bitmap, (full fence) looks at the stamp again; then the chunk is held. To release it reads the
 * chunk's state word after the last byte of payload (acquire fence between): `ok` if it is still
 * published(the sequence held), `revoked` otherwise; then it clears the bit, unless another cell of
 * its own names the chunk, and clears the cell last. An allocator evicts the slot, (full fence) looks at the
 * bits, at the cells behind each bit set, and takes the chunk only if there is no fresh hold among
 * them: CAS published(q) -> owned(me) first, (release fence) then the first byte.
 *
 * A reader may die at any step. The reaper clears bits and cells from the cells alone, may itself be
 * killed in between and starts again; then the entry goes to another process.
 *
 * Held to:  a release that says ok saw nothing but its own event; one that says revoked had its chunk
 *           taken, and only after its time; when all are gone no bit and no cell remains.
 *
 * Mutations (each must fail):
 *   -DMUT_NO_RELEASE_LOOK  release does not look at the state word
 *   -DMUT_LOOK_EARLY       it looks before the last byte was read
 *   -DMUT_WRITE_FIRST      the allocator writes before its CAS
 *   -DMUT_NO_SECOND_LOOK   the reader does not look at the stamp after it set its bit
 *   -DMUT_BITS_FIRST       the allocator looks at the bits before it evicts
 *   -DMUT_ANY_EXPIRED      one expired hold is enough to take the chunk
 *   -DMUT_BIT_SHARED       release clears the bit although another own cell names the chunk
 *   -DMUT_CELL_LATE        the cell is written after the bit: a reader's death between leaks the bit
 *   -DMUT_CELL_CLEARED_FIRST  the cell is cleared before the bit: the same
 *   -DMUT_REAP_CELL_FIRST  the reaper clears the cell first: its own death leaks the bit
 *   -DMUT_EARLY_REUSE      the entry is given away before the reaper is through
 */
#ifndef NP
#define NP 2
#endif
#ifndef NR
#define NR 1
#endif
#ifndef NE
#define NE 2                        /* events in all */
#endif
#ifndef HOLDS
#define HOLDS 2                     /* holds of each reader entry, over all its lives */
#endif
#ifndef CRASHES
#define CRASHES 1                   /* of the reaper */
#endif
#define K 2                         /* cells of a reader */

#define COMMITTED 1                 /* stamp of the one slot */
#define EVICTED 2
#define FREE 0                      /* the chunk's state word */
#define OWNED 1
#define PUBD 2

byte slot_seq, slot_st, next_seq = 1;
byte ch_st, ch_seq, a, b;           /* state word and payload */
byte takes;                         /* ghost: how often the chunk was taken */
bool bit_of[NR];                    /* the chunk's bitmap */
typedef reader_t {
  bool cell[K];                     /* cell k names the chunk ... */
  bool expired[K];                  /* ... and its `since` is hold_timeout ago */
  byte seq[K]; byte gen[K];         /* ghosts: what it holds, and `takes` as it was then */
  byte holds; bool dead
};
reader_t rd[NR];
byte ended;

/* ---- allocator ------------------------------------------------------------------------------ */

/* Look at the holds: `busy` if there is a fresh one. Time passes while it looks: a hold seen may be
 * an expired one. A bit without a cell is a release half done: look again. */
inline look_at_cells(r) {
  atomic {
    found = rd[r].cell[0];
    if
    :: rd[r].cell[0] && !rd[r].expired[0] -> if :: rd[r].expired[0] = true; old = true :: busy = true fi
    :: rd[r].cell[0] && rd[r].expired[0] -> old = true
    :: else
    fi
  };
  atomic {
    found = found || rd[r].cell[1];
    if
    :: rd[r].cell[1] && !rd[r].expired[1] -> if :: rd[r].expired[1] = true; old = true :: busy = true fi
    :: rd[r].cell[1] && rd[r].expired[1] -> old = true
    :: else
    fi
  }
}

inline look_at_holds() {
  busy = false; old = false; r = 0;
  do
  :: r < NR ->
     found = true;
     if :: bit_of[r] -> look_at_cells(r) :: else fi;
     if :: !found -> busy = true :: else fi;
     r++
  :: else -> break
  od;
#ifdef MUT_ANY_EXPIRED
  if :: old -> busy = false :: else fi;
#endif
  r = 0; old = false; found = false
}

inline evict() {
  atomic {
    ok = true;
    if
    :: slot_seq == q && slot_st == COMMITTED -> slot_st = EVICTED
    :: slot_seq == q && slot_st == EVICTED
    :: slot_seq > q
    :: else -> ok = false           /* marked published, not committed yet */
    fi
  }
}

proctype allocator(byte me) {
  byte q, t, r;
  bool ok, busy, old, found;
  do
  :: next_seq <= NE ->
     atomic {
       ok = false; q = 0;
       if
       :: ch_st == FREE -> ch_st = OWNED; takes++; ok = true
       :: ch_st == PUBD -> q = ch_seq
       :: else -> ch_st != OWNED || next_seq > NE
       fi
     };
     if :: ok -> goto fill :: else fi;
     if :: q == 0 -> goto again :: else fi;
#ifdef MUT_BITS_FIRST
     look_at_holds();
     evict();
#else
     evict();
     /* full fence */
     look_at_holds();
#endif
     if :: !ok || busy -> goto again :: else fi;
#ifdef MUT_WRITE_FIRST
     a = 255;
#endif
     atomic {
       ok = false;
       if :: ch_st == PUBD && ch_seq == q -> ch_st = OWNED; takes++; ok = true :: else fi
     };
     if :: !ok -> goto again :: else fi;
fill:                               /* release fence */
     a = next_seq;
     b = next_seq;
     t = next_seq;
     next_seq = t + 1;
     atomic { ch_st = PUBD; ch_seq = t };
     atomic { slot_seq = t; slot_st = COMMITTED };
again:
     atomic { ok = false; busy = false; q = 0; t = 0 }
  :: else -> break
  od;
  ended++
}

/* ---- reader --------------------------------------------------------------------------------- */

inline may_die() {
  if
  :: true
#ifndef NODIE
  :: goto died
#endif
  fi
}

inline write_cell(r, k) { atomic { rd[r].cell[k] = true; rd[r].expired[k] = false } }
inline clear_cell(r, k) { atomic { rd[r].cell[k] = false; rd[r].expired[k] = false } }
inline clear_bit(r, k) {
#ifndef MUT_BIT_SHARED
  if :: rd[r].cell[1 - k] :: else -> bit_of[r] = false fi
#else
  bit_of[r] = false
#endif
}

inline drop(r, k) {
#ifdef MUT_CELL_CLEARED_FIRST
  clear_cell(r, k);
  may_die();
  clear_bit(r, k);
#else
  clear_bit(r, k);
  may_die();
  clear_cell(r, k);
#endif
  may_die()
}

inline hold(r, k) {
  atomic { rd[r].seq[k] == 0 && slot_st == COMMITTED && rd[r].holds < HOLDS -> rd[r].holds++; q = slot_seq };
#ifdef MUT_CELL_LATE
  bit_of[r] = true;
  may_die();
  write_cell(r, k);
#else
  write_cell(r, k);
  may_die();
  bit_of[r] = true;
#endif
  may_die();
  /* full fence */
  atomic {
#ifndef MUT_NO_SECOND_LOOK
    ok = (slot_st == COMMITTED && slot_seq == q);
#else
    ok = true;
#endif
    if :: ok -> rd[r].seq[k] = q; rd[r].gen[k] = takes :: else fi;
    q = 0
  };
  if :: !ok -> drop(r, k) :: else -> may_die() fi
}

#define STILL_MINE(r, k) (ch_st == PUBD && ch_seq == rd[r].seq[k])

inline release(r, k) {
#ifdef MUT_LOOK_EARLY
  ok = STILL_MINE(r, k);
#endif
  clean = (a == rd[r].seq[k]);
  clean = (clean && b == rd[r].seq[k]);
  /* acquire fence */
  atomic {
#ifdef MUT_NO_RELEASE_LOOK
    ok = true;
#elif !defined(MUT_LOOK_EARLY)
    ok = STILL_MINE(r, k);
    assert(ok == (rd[r].gen[k] == takes));
#endif
    assert(clean || !ok);
    assert(ok || rd[r].expired[k]);
    assert(rd[r].cell[k]);
    rd[r].seq[k] = 0; rd[r].gen[k] = 0; ok = false; clean = false
  };
  may_die();
  drop(r, k)
}

#define HELD(r, k) (rd[r].seq[k] != 0)

proctype reader(byte me) {
  byte q;
  bool ok, clean;
  do
  :: hold(me, 0)
  :: hold(me, 1)
  :: HELD(me, 0) -> release(me, 0)
  :: HELD(me, 1) -> release(me, 1)
  :: !HELD(me, 0) && !HELD(me, 1) && (rd[me].holds == HOLDS || ended == NP) -> break
  od;
died:
  atomic {
    rd[me].seq[0] = 0; rd[me].seq[1] = 0; rd[me].gen[0] = 0; rd[me].gen[1] = 0;
    rd[me].dead = true
  }
}

/* ---- reaper: the daemon, told by the pidfd ---------------------------------------------------- */

inline crash() { if :: true :: atomic { crashes < CRASHES -> crashes++; goto again } fi }

inline reap_cell(r, k) {
  if
  :: rd[r].cell[k] ->
#ifdef MUT_REAP_CELL_FIRST
       clear_cell(r, k);
       crash();
       bit_of[r] = false
#else
       bit_of[r] = false;
       crash();
       clear_cell(r, k)
#endif
  :: else
  fi
}

proctype reaper(byte r) {
  byte lives = 1, crashes;
again:
end:
  rd[r].dead;
#ifdef MUT_EARLY_REUSE
  if :: lives == 1 -> lives++; rd[r].dead = false; run reader(r) :: else fi;
#endif
  reap_cell(r, 0);
  reap_cell(r, 1);
  rd[r].dead = false;
  if
  :: lives == 1 -> lives++; run reader(r); goto again
  :: else
  fi;
  assert(!bit_of[r] && !rd[r].cell[0] && !rd[r].cell[1])
}

init {
  byte k = 0;
  atomic {
    do :: k < NR -> run reader(k); run reaper(k); k++ :: else -> break od;
    k = 0; do :: k < NP -> run allocator(k); k++ :: else -> break od
  }
}
