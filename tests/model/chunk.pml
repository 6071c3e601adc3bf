/* Chunks: allocation, eviction, hold bits, and death at every step.
 *
 * CAP slots, NCH chunks, drop-oldest: any committed slot may be evicted. NP publishers; each may die
 * at any step, or lose a thread (`dying`: the robust futex has fired, siblings still write) and be
 * dead later. The daemon quarantines at once, frees the chunks only when the process is dead.
 * One reader: it writes its hold cell, sets its bit in the chunk's bitmap, looks at the stamp again,
 * reads the payload in place, clears the bit, clears the cell. (hold.pml: readers that die, time
 * limits, several readers.)
 *
 * Held to:  while the reader holds a chunk nobody writes to it; a committed slot's chunk is
 *           `published(its sequence)`, and no two committed slots name one chunk.
 *
 * Mutations (each must fail):
 *   -DMUT_LATE_MARK    published(s) after the commit
 *   -DMUT_HAZ_FIRST    the hold bits are looked at before the slot is evicted
 *   -DMUT_NOHAZ        the allocator does not look at the hold bits
 *   -DMUT_NOLOOK       the reader does not look at the stamp again after setting its bit
 *   -DMUT_EARLY_FREE   chunks are freed when the claim is revoked, although siblings still write
 *   -DMUT_KEEP_CHUNK   a publisher whose commit failed keeps its chunk without taking it back by CAS
 * -DNOINV leaves the invariant out, so that the reader must notice.
 */
#define CAP 2
#ifndef NP
#define NP 2
#endif
#ifndef NCH
#define NCH 2
#endif
#ifndef NE
#define NE 1
#endif
#define MAXS (CAP + NP * NE + NP * NE + 4)

#define EMPTY 0                     /* slot states */
#define CLAIMED 1
#define COMMITTED 2
#define ABORTED 3
#define QUAR 4
#define EVICTED 5

#define FREE 0                      /* chunk states */
#define OWNED 1
#define PUBD 2

typedef slot_t { byte seq; byte st; byte own; byte idx; byte tok };
typedef chunk_t { byte st; byte own; byte seq; byte a; byte b };

slot_t s[CAP];
chunk_t ch[NCH];
bool hold[NCH];                     /* bit of the one reader, per chunk */
byte cell;                          /* its hold cell: chunk + 1 */
byte tail = CAP, zombies;
bool dead[NP], dying[NP], gone[NP];

#define SLOT(q) s[(q) % CAP]

/* die now, or lose a thread and go on */
inline trouble() {
  if
  :: true
#ifndef NODIE
  :: atomic { !dying[me] -> dead[me] = true; goto out }
  :: atomic { !dying[me] && zombies == 0 -> zombies++; dying[me] = true }
#endif
  fi
}

/* CAS published(q) -> owned(me) */
inline take_back(q, ok) {
  atomic {
    ok = false;
    if
    :: ch[k].st == PUBD && ch[k].seq == q -> ch[k].st = OWNED; ch[k].own = me; ok = true
    :: else
    fi
  }
}

/* a free chunk is taken by one CAS; of a published one, q says for which sequence */
inline try_free(ok) {
  atomic {
    ok = false; q = 0;
    if
    :: ch[k].st == FREE -> ch[k].st = OWNED; ch[k].own = me; ok = true
    :: ch[k].st == PUBD -> q = ch[k].seq
    :: else
    fi
  }
}

/* CAS the slot of q to evicted, unless nobody can start to read q any more */
inline evict(ok) {
  atomic {
    ok = false;
    if
    :: SLOT(q).seq == q && SLOT(q).st == COMMITTED -> SLOT(q).st = EVICTED; ok = true
    :: SLOT(q).seq == q &&
       (SLOT(q).st == EVICTED || SLOT(q).st == ABORTED || SLOT(q).st == QUAR) -> ok = true
    :: SLOT(q).seq > q -> ok = true
    :: else
    fi
  }
}

inline claim(ok) {
  t = tail;
  i = t % CAP;
  if :: t >= MAXS - 2 -> goto give_up :: else fi;
  atomic {
    ok = false;
    if
    :: s[i].seq == t - CAP && s[i].st != CLAIMED && s[i].st != QUAR ->
         s[i].seq = t; s[i].st = CLAIMED; s[i].own = me; ok = true
    :: s[i].seq == t - CAP && s[i].st == QUAR -> s[i].seq = t
    :: else
    fi
  };
  atomic { if :: s[i].seq == t && tail == t -> tail = t + 1 :: else fi }
}

/* CAS owned(me) -> published(t), before the commit */
inline mark() {
  atomic {
#ifdef MUT_KEEP_CHUNK
    ch[k].st = PUBD; ch[k].seq = t
#else
    if
    :: ch[k].st == OWNED && ch[k].own == me -> ch[k].st = PUBD; ch[k].seq = t
    :: else -> assert(dying[me])
    fi
#endif
  }
}

inline commit(ok) {
  atomic {
    if
    :: s[i].seq == t && s[i].st == CLAIMED && s[i].own == me -> s[i].st = COMMITTED; ok = true
    :: else ->                      /* revoked: the slot is free again, now that the owner knows */
         ok = false;
         if :: s[i].st == QUAR && s[i].own == me -> s[i].st = ABORTED :: else fi
    fi
  }
}

proctype publisher(byte me) {
  byte n = 0, t, i, k, q, tok;
  bool ok;
  do
  :: n < NE ->
     tok = 1 + me * NE + n;
     n++;
alloc:                              /* any chunk; a fruitless search may end with pool_full */
     if
     :: k = 0
     :: k = 1
#if NCH > 2
     :: k = 2
#endif
     fi;
     try_free(ok);
     if :: ok -> goto fill :: else fi;
     if :: q == 0 -> if :: goto alloc :: goto give_up fi :: else fi;
#ifdef MUT_HAZ_FIRST
     if :: hold[k] -> goto give_up :: else fi;
#endif
     evict(ok);
     if :: !ok -> if :: goto alloc :: goto give_up fi :: else fi;
     /* full fence */
#if !defined(MUT_HAZ_FIRST) && !defined(MUT_NOHAZ)
     if :: hold[k] -> if :: goto alloc :: goto give_up fi :: else fi;
#endif
     take_back(q, ok);
     if :: !ok -> goto alloc :: else fi;
fill:
     trouble();
     ch[k].a = tok;
     trouble();
     ch[k].b = tok;
     trouble();
again:
     claim(ok);
     if :: !ok -> if :: goto again :: goto give_up fi :: else fi;
     trouble();
     atomic { s[i].idx = k; s[i].tok = tok };
     trouble();
#ifndef MUT_LATE_MARK
     mark();
     trouble();
#endif
     commit(ok);
     trouble();
#ifdef MUT_LATE_MARK
     atomic { if :: ch[k].st == OWNED && ch[k].own == me -> ch[k].st = PUBD; ch[k].seq = t :: else fi }
#elif defined(MUT_KEEP_CHUNK)
     if :: !ok -> goto again :: else fi
#else
     if
     :: !ok -> take_back(t, ok); if :: ok -> goto again :: else fi
     :: else
     fi
#endif
  :: else -> break
  od;
give_up:
  atomic { if :: dying[me] -> dead[me] = true :: else fi };
out:
  gone[me] = true
}

inline revoke(p, to) {
  j = 0;
  do
  :: j < CAP ->
     if
     :: s[j].st == CLAIMED && s[j].own == p -> s[j].st = to
     :: s[j].st == QUAR && s[j].own == p && to == ABORTED -> s[j].st = ABORTED
     :: else
     fi;
     j++
  :: else -> break
  od;
  j = 0
}

inline free_all(p) {
  j = 0;
  do
  :: j < NCH -> if :: ch[j].st == OWNED && ch[j].own == p -> ch[j].st = FREE :: else fi; j++
  :: else -> break
  od;
  j = 0
}

inline futex_fired(p) {
  atomic {
    dying[p] && !revoked[p] -> revoked[p] = true; revoke(p, QUAR);
#ifdef MUT_EARLY_FREE
    free_all(p)
#endif
  }
}

inline pidfd_fired(p) {
  atomic { dead[p] && gone[p] && !reaped[p] -> reaped[p] = true; revoked[p] = true; revoke(p, ABORTED) };
  atomic { free_all(p) }
}

proctype daemon() {
  byte j = 0;
  bool revoked[NP], reaped[NP];
end:
  do
  :: futex_fired(0)
  :: pidfd_fired(0)
#if NP > 1
  :: futex_fired(1)
  :: pidfd_fired(1)
#endif
  od
}

proctype reader() {
  byte c = CAP, i, q1, s1, k, tok;
  bool same;
  do
  :: i = c % CAP;
     atomic { q1 = s[i].seq; s1 = s[i].st };
     if
     :: q1 == c && s1 == COMMITTED ->
          atomic { k = s[i].idx; tok = s[i].tok };
          cell = k + 1;
          hold[k] = true;
          /* full fence */
          atomic {
            same = (s[i].seq == q1 && s[i].st == s1);
#ifdef MUT_NOLOOK
            same = true
#endif
          };
          if
          :: same -> assert(ch[k].a == tok); assert(ch[k].b == tok); assert(ch[k].a == tok); c++
          :: else
          fi;
          hold[k] = false;
          cell = 0
     :: q1 == c && (s1 == ABORTED || s1 == QUAR || s1 == EVICTED) -> c++
     :: q1 > c -> c = q1 - CAP + 1
     :: else ->
          if
          :: s[i].seq > c || (s[i].seq == c && s[i].st != CLAIMED)
          :: gone[0] && gone[NP - 1] -> break
          fi
     fi
  od
}

#ifndef NOINV
#define MARKED(j) (ch[s[j].idx].st == PUBD && ch[s[j].idx].seq == s[j].seq)

proctype invariant() {
end:
  do
  :: atomic { (s[0].st == COMMITTED && !MARKED(0)) || (s[1].st == COMMITTED && !MARKED(1)) ||
              (s[0].st == COMMITTED && s[1].st == COMMITTED && s[0].idx == s[1].idx)
              -> assert(false) }
  od
}
#endif

init {
  byte k = 0;
  atomic {
    do :: k < CAP -> s[k].seq = k; k++ :: else -> break od;
    run daemon(); run reader();
#ifndef NOINV
    run invariant();
#endif
    k = 0; do :: k < NP -> run publisher(k); k++ :: else -> break od
  }
}
