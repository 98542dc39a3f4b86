/* Depthwise convolution over channels_last tensors: a vector holds V channels of one position.
 *
 * Rows are copied once into a ring of padded rows (zeros around them, one block of V channels after another), so that
 * the inner loops have no borders. C >= V; the last block of channels overlaps the one before it. */

INLINE long channel(const sizes *s, long block) { return MIN(block * V, s->C - V); }

INLINE vec normal(const sizes *s, vec x, long c) {
    if (!NORM) return x;
    return (x - load(s->mean + c)) * load(s->scale + c) + load(s->bias + c);
}

/* weights as [block][tap][V], and after them the row of zeros */
static void begin(const void *given, REAL *scratch) {
    const sizes *s = given;
    if (!s->w) return;
    for (long b = 0; b < s->blocks; b++)
        for (long t = 0; t < TAPS; t++)
            for (long l = 0; l < V; l++) scratch[(b * TAPS + t) * V + l] = s->w[(channel(s, b) + l) * TAPS + t];
}

/* the smallest power of two that is no less: of such a number of slots a remainder is cheap */
INLINE long power(long least) {
    long p = 1;
    while (p < least) p *= 2;
    return p;
}

typedef struct {
    REAL *zeros, *ring;
    long next; /* the first row not yet copied */
    const REAL *from;
    long rows, columns, offset; /* of the source; column c of it is column c + offset of the ring */
    int active; /* whether it is the input of the convolution, normalised and past its ReLU */
} reader;

INLINE reader reading(const sizes *s, REAL *scratch, const REAL *from, long rows, long columns, long offset, int active) {
    REAL *zeros = scratch + s->blocks * TAPS * V;
    return (reader){zeros, zeros + s->width * V, 0, from, rows, columns, offset, active};
}

/* copies rows up to and without `end` */
INLINE void read_to(reader *r, const sizes *s, long end) {
    for (; r->next < end; r->next++) {
        if (r->next < 0 || r->next >= r->rows) continue;
        long first = MAX(0, -r->offset), last = MIN(r->columns, s->width - r->offset);
        for (long b = 0; b < s->blocks; b++) {
            const REAL *from = r->from + r->next * r->columns * s->C + channel(s, b);
            REAL *to = r->ring + (((r->next & (s->slots - 1))) * s->blocks + b) * s->width * V + r->offset * V;
            for (long c = first; c < last; c++) {
                vec v = load(from + c * s->C);
                store(to + c * V, r->active ? activated(normal(s, v, channel(s, b))) : v);
            }
        }
    }
}

INLINE const REAL *row(const reader *r, const sizes *s, long index, long block) {
    if (index < 0 || index >= r->rows) return r->zeros;
    return r->ring + ((index & (s->slots - 1)) * s->blocks + block) * s->width * V;
}

INLINE void forward_tile(const REAL *const *rows, long column, const REAL *w, REAL *out, long C, const int tile) {
    vec sum[8];
    UNROLL for (int t = 0; t < tile; t++) sum[t] = (vec){0};
    UNROLL for (int ky = 0; ky < KH; ky++) {
        const REAL *in = rows[ky] + column * SW * V;
        UNROLL for (int kx = 0; kx < KW; kx++) {
            vec k = load(w + (ky * KW + kx) * V);
            UNROLL for (int t = 0; t < tile; t++) sum[t] += k * load(in + (t * SW + kx * DW) * V);
        }
    }
    UNROLL for (int t = 0; t < tile; t++) store(out + (column + t) * C, sum[t]);
}

/* Columns in tiles of 8 and 4; the last overlaps the one before it where the count is odd to it. */
#define TILES(count, call)                                                                      \
    do {                                                                                        \
        long at = 0, left = (count);                                                            \
        for (; left >= 8; at += 8, left -= 8) call(at, 8);                                      \
        if (left > 4 && at) call(at + left - 8, 8);                                             \
        else if (left > 4) { call(at, 4); call(at + left - 4, 4); }                             \
        else if (left && at + left >= 4) call(at + left - 4, 4);                                \
        else for (; left; at++, left--) call(at, 1);                                            \
    } while (0)

static void forward_strip(const void *given, long task, REAL *scratch) {
    const sizes *s = given;
    long n = task / s->strips, first = task % s->strips * s->rows, last = MIN(first + s->rows, s->OH);
    reader r = reading(s, scratch, s->x + n * s->H * s->W * s->C, s->H, s->W, s->PW, 1);
    r.next = first * SH - s->PH;
    for (long o = first; o < last; o++) {
        long base = o * SH - s->PH;
        read_to(&r, s, base + REACH_H);
        for (long b = 0; b < s->blocks; b++) {
            const REAL *rows[KH], *w = scratch + b * TAPS * V;
            for (int ky = 0; ky < KH; ky++) rows[ky] = row(&r, s, base + ky * DH, b);
            REAL *out = s->out + (n * s->OH + o) * s->OW * s->C + channel(s, b);
#define CALL(at, tile) forward_tile(rows, at, w, out, s->C, tile)
            TILES(s->OW, CALL);
#undef CALL
        }
    }
}

int forward(const long *n, const REAL *x, const REAL *w, REAL *out, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, w, 0, out};
    split(&s, s.N, s.OH);
    s.blocks = up(s.C, V);
    s.width = (s.OW - 1) * SW + REACH_W;
    s.slots = power(REACH_H);
    job j = {begin, forward_strip, &s, s.N * s.strips, 0, s.blocks * TAPS * V + (1 + s.slots * s.blocks) * s.width * V};
    return launch(&j, team, threads);
}

/* positions whose row is q and whose column is r modulo the stride, counted from -P */
INLINE void input_tile(const REAL *const *rows, long column, const REAL *w, REAL *out, const REAL *x, long C,
                       const int q, const int r, const int tile) {
    vec sum[8];
    UNROLL for (int t = 0; t < tile; t++) sum[t] = (vec){0};
    UNROLL for (int ky = 0; ky < KH; ky++) {
        if (ky * DH % SH != q) continue;
        const REAL *in = rows[BACK_H - (ky * DH - q) / SH] + column * V;
        UNROLL for (int kx = 0; kx < KW; kx++) {
            if (kx * DW % SW != r) continue;
            vec k = load(w + (ky * KW + kx) * V);
            UNROLL for (int t = 0; t < tile; t++) sum[t] += k * load(in + (t + BACK_W - (kx * DW - r) / SW) * V);
        }
    }
    UNROLL for (int t = 0; t < tile; t++) {
        store(out + t * SW * C, x ? where_positive(load(x + t * SW * C), sum[t]) : sum[t]);
    }
}

INLINE void input_row(const sizes *s, const reader *r, long n, long i, long base, const REAL *scratch, const int q) {
    for (long b = 0; b < s->blocks; b++) {
        const REAL *rows[BACK_H + 1], *w = scratch + b * TAPS * V;
        for (int k = 0; k <= BACK_H; k++) rows[k] = row(r, s, base + k, b);
        UNROLL for (int phase = 0; phase < SW; phase++) {
            long start = floor_mod(phase - s->PW, SW), skip = (start + s->PW) / SW - s->PW / SW;
            if (start >= s->W) continue;
            long at_pixel = ((n * s->H + i) * s->W + start) * s->C + channel(s, b);
#define CALL(at, tile)                                                                                              \
    input_tile(rows, skip + (at), w, s->out + at_pixel + (at) * SW * s->C,                                          \
               RELU ? s->x + at_pixel + (at) * SW * s->C : 0, s->C, q, phase, tile)
            TILES(up(s->W - start, SW), CALL);
#undef CALL
        }
    }
}

static void input_strip(const void *given, long task, REAL *scratch) {
    const sizes *s = given;
    long n = task / s->strips, first = task % s->strips * s->rows, last = MIN(first + s->rows, s->H);
    reader r = reading(s, scratch, s->g + n * s->OH * s->OW * s->C, s->OH, s->OW, BACK_W - s->PW / SW, 0);
    r.next = (first + s->PH) / SH - BACK_H;
    for (long i = first; i < last; i++) {
        long base = (i + s->PH) / SH - BACK_H;
        read_to(&r, s, base + BACK_H + 1);
        UNROLL for (int q = 0; q < SH; q++)
            if ((i + s->PH) % SH == q) input_row(s, &r, n, i, base, scratch, q);
    }
}

int input_gradient(const long *n, const REAL *g, const REAL *w, const REAL *x, REAL *dx, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, w, g, dx};
    split(&s, s.N, s.H);
    s.blocks = up(s.C, V);
    s.width = (s.W - 1 + s.PW) / SW - s.PW / SW + BACK_W + 1;
    s.slots = power(BACK_H + 1);
    job j = {begin, input_strip, &s, s.N * s.strips, 0, s.blocks * TAPS * V + (1 + s.slots * s.blocks) * s.width * V};
    return launch(&j, team, threads);
}

#define KERNEL_ROWS MAX(1, MIN(KH, ACCUMULATORS / KW)) /* rows of taps whose sums fit the registers */

INLINE void weight_taps(const sizes *s, const reader *r, long base, long rows, long b, const REAL *g, long apart,
                        REAL *sums, const int first, const int count) {
    vec sum[KERNEL_ROWS * KW];
    UNROLL for (int t = 0; t < count * KW; t++) sum[t] = (vec){0};
    for (long o = 0; o < rows; o++) {
        const REAL *in[KERNEL_ROWS];
        for (int k = 0; k < count; k++) in[k] = row(r, s, base + o * SH + (first + k) * DH, b);
        const REAL *at = g + o * s->OW * apart;
        for (long c = 0; c < s->OW; c++) {
            vec d = load(at + c * apart);
            UNROLL for (int k = 0; k < count; k++) UNROLL for (int kx = 0; kx < KW; kx++)
                sum[k * KW + kx] += d * load(in[k] + (c * SW + kx * DW) * V);
        }
    }
    UNROLL for (int t = 0; t < count * KW; t++) {
        REAL *to = sums + (first * KW + t) * V;
        store(to, load(to) + sum[t]);
    }
}

static void weight_strip(const sizes *s, long unit, REAL *scratch, REAL *sums) {
    long n = unit / s->strips, first = unit % s->strips * s->rows, last = MIN(first + s->rows, s->OH);
    reader r = reading(s, scratch, s->x + n * s->H * s->W * s->C, s->H, s->W, s->PW, 1);
    r.next = first * SH - s->PH;
    for (long o = first; o < last; o += s->step) {
        long rows = MIN(s->step, last - o), base = o * SH - s->PH;
        read_to(&r, s, base + (rows - 1) * SH + REACH_H);
        for (long b = 0; b < s->blocks; b++) {
            const REAL *g = s->g + (n * s->OH + o) * s->OW * s->C + channel(s, b);
            UNROLL for (int k = 0; k + KERNEL_ROWS <= KH; k += KERNEL_ROWS)
                weight_taps(s, &r, base, rows, b, g, s->C, sums + b * TAPS * V, k, KERNEL_ROWS);
            if (KH % KERNEL_ROWS)
                weight_taps(s, &r, base, rows, b, g, s->C, sums + b * TAPS * V, KH - KH % KERNEL_ROWS, KH % KERNEL_ROWS);
        }
    }
}

static void weight_group(const void *given, long task, REAL *scratch) {
    const sizes *s = given;
    REAL *sums = s->partial + task * s->blocks * TAPS * V;
    memset(sums, 0, (size_t)(s->blocks * TAPS * V) * sizeof(REAL));
    long planes = s->N * s->strips, first = task * s->units, last = MIN(first + s->units, planes);
    for (long unit = first; unit < last; unit++) weight_strip(s, unit, scratch, sums);
}

int weight_gradient(const long *n, const REAL *g, const REAL *x, REAL *dw, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, 0, g, dw};
    split(&s, s.N, s.OH);
    s.blocks = up(s.C, V);
    s.width = (s.OW - 1) * SW + REACH_W;
    s.step = up(BLOCK, s.OW);
    s.slots = power(REACH_H + (s.step - 1) * SH);
    s.units = up(s.N * s.strips, 16);
    s.groups = up(s.N * s.strips, s.units);
    long length = s.blocks * TAPS * V;
    s.partial = malloc((size_t)((s.groups + 1) * length) * sizeof(REAL));
    if (!s.partial) return 1;
    job j = {begin, weight_group, &s, s.groups, 0, length + (1 + s.slots * s.blocks) * s.width * V};
    int failed = launch(&j, team, threads);
    REAL *sums = s.partial + s.groups * length;
    reduce(&s, length, sums);
    for (long b = 0; b < s.blocks; b++)
        for (long t = 0; t < TAPS; t++)
            for (long l = 0; l < V; l++) dw[(channel(&s, b) + l) * TAPS + t] = sums[(b * TAPS + t) * V + l];
    free(s.partial);
    return failed;
}
