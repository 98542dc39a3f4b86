/* Rows of a depthwise convolution over channels_last tensors: a vector holds V channels of one position.
 *
 * Rows are copied once into a ring of padded rows (zeros around them, one block of V channels after another), so that
 * the inner loops have no borders. C >= V; the last block of channels overlaps the one before it. */

INLINE long channel(const sizes *s, long block) { return MIN(block * V, s->C - V); }

INLINE vec normal(const sizes *s, vec x, long c) {
    if (!NORM) return x;
    return (x - load(s->mean + c)) * load(s->scale + c) + load(s->bias + c);
}

INLINE vec activated(vec v) { return RELU ? positive(v) : v; }

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

/* positions whose row is q and whose column is r modulo the stride, counted from -P */
INLINE void input_tile(const REAL *const *rows, long column, const REAL *w, REAL *out, long C, const int q,
                       const int r, const int tile) {
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
    UNROLL for (int t = 0; t < tile; t++) store(out + t * SW * C, sum[t]);
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
