// SPDX-License-Identifier: MIT
//
// Part of ringlog.c: how a full ring makes room.
//
// The victims are the oldest records of the lowest rank that is there. Where more
// important records lie before them, these are moved up by as much as is freed, so
// that the free space is always one piece between the newest and the oldest record:
//
//     tail  E1 d2 E3 d4 d5 ...        drop d2 and d4
//     tail  .. .. E1 E3 d5 ...        E3 was moved first, then E1, both word by word from the end
//
// A reset at any moment of it tears the record just being moved and no other; what
// is left of old copies carries sequence numbers that were already seen. The important
// ones that lie in front may be half of the ring and RINGLOG_KEEP words, which bounds
// the work; beyond that the oldest of them goes.

#define VICTIMS (32) // in one sweep; more room than that takes several

typedef struct _sweep_t {
    uint32_t n;
    uint32_t freed; // words
    uint32_t lowest; // rank seen
    uint32_t last_seq; // of the newest victim
    uint32_t at[VICTIMS]; // words from the tail
    uint16_t size[VICTIMS];
} sweep_t;

// Look for victims of at most that rank among the oldest records until `need` words
// are found, or a sixteenth of the ring more where it takes moving others, and take
// them off r->ranks. Returns false if the block has been scribbled on.
static bool choose(ringlog_t *r, uint32_t rank, uint32_t need, sweep_t *s) {
    uint32_t most = MIN(r->words / 2, RINGLOG_KEEP), kept = 0, seen = 0, at = r->tail;
    uint32_t more = need + r->words / 16; // so that not every write has to move them
    s->n = s->freed = s->last_seq = 0;
    s->lowest = RINGLOG_RANKS;
    while (seen < r->used && s->freed < (kept ? more : need) && s->n < VICTIMS) {
        uint32_t n = size_at(r, at, r->used - seen), this = rank_of(lens_at(r, at));
        if (n == 0) {
            return false;
        }
        s->lowest = MIN(s->lowest, this);
        if (this <= rank) {
            s->at[s->n] = seen;
            s->size[s->n++] = n;
            s->freed += n;
            s->last_seq = seq_at(r, at);
            r->ranks[this] -= r->ranks[this] > 0;
        } else {
            kept += n;
            if (kept > most) {
                break;
            }
        }
        seen += n;
        at = wrap(r, at + n);
    }
    return true;
}

// Copy n words that end before `from` to where they end before `to`, from the end.
static void move_up(ringlog_t *r, uint32_t from, uint32_t to, uint32_t n) {
    while (n > 0) {
        uint32_t run = n;
        from = from ? from : r->words;
        to = to ? to : r->words;
        if (BOUND(10, run > from)) {
            run = from;
        }
        if (BOUND(11, run > to)) {
            run = to;
        }
        volatile uint32_t *source = r->data + from, *target = r->data + to;
        n -= run;
        from -= run;
        to -= run;
        for (; run >= 4; run -= 4) {
            source -= 4;
            target -= 4;
            // Each word in its turn: they may overlap, and a reset must find the order.
            RINGLOG_STORE(target[3], source[3]);
            RINGLOG_STORE(target[2], source[2]);
            RINGLOG_STORE(target[1], source[1]);
            RINGLOG_STORE(target[0], source[0]);
        }
        while (run-- > 0) {
            --source;
            --target;
            RINGLOG_STORE(*target, *source);
        }
    }
}

// The number that a record in the block says to have, if it can be one.
static uint32_t believed(const ringlog_t *r, uint32_t seq, uint32_t otherwise) {
    return seq - r->tail_seq < r->next_seq - r->tail_seq ? seq : otherwise;
}

static void drop(ringlog_t *r, const sweep_t *s) {
    uint32_t to = s->at[s->n - 1] + s->size[s->n - 1]; // in words from the tail
    bool moved = to > s->freed;
    for (uint32_t i = s->n; i-- > 0;) {
        uint32_t begin = i ? s->at[i - 1] + s->size[i - 1] : 0, n = s->at[i] - begin;
        move_up(r, wrap(r, r->tail + s->at[i]), wrap(r, r->tail + to), n);
        to -= n;
    }
    if (moved) {
        uint32_t seq = believed(r, s->last_seq, r->next_seq - 1);
        ++r->generation;
        r->moved_seq = before(r->moved_seq, seq) ? seq : r->moved_seq;
    }
    r->tail = wrap(r, r->tail + s->freed);
    r->used -= s->freed;
    r->count -= MIN(r->count, s->n);
    r->dropped += s->n;
    r->tail_seq = r->used ? believed(r, seq_at(r, r->tail), r->tail_seq) : r->next_seq;
}

static void make_room(ringlog_t *r, uint32_t n) {
    sweep_t sweep;
    uint32_t rank = 0;
    while (r->words - r->used < n) {
        while (rank < RINGLOG_RANKS - 1 && r->ranks[rank] == 0) {
            ++rank;
        }
        if (!choose(r, rank, n - (r->words - r->used), &sweep)) {
            give_up(r);
            return;
        }
        if (sweep.n > 0) {
            drop(r, &sweep);
            rank = 0;
        } else {
            rank = sweep.lowest; // none of a lower rank is within reach
        }
    }
    store_tail(r); // before the bytes go, so that a reset in between finds no half record
}
