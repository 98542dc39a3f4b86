/* Separable convolution in channels_last: a depthwise convolution of max(norm(x), 0), then a pointwise one, in one pass.
 *
 *   h[p, c] = sum_k w[c, k] a[p S - P + k D, c],    a = max((x - mean) scale + bias, 0)
 *   z[p, o] = sum_c m[o, c] h[p, c]
 *
 * Rows of h live in a thread's scratch memory only. The backward pass computes them again. Needs C >= V, O >= V, and a
 * padding of at most (K - 1) D. */

typedef struct {
    sizes s; /* first: a pointer to this is one to that */
    long O, outs;
    const REAL *m, *z_gradient;
    REAL *z;
    long h, row, back, sums; /* places in the scratch memory */
} plan;

INLINE long output(const plan *p, long block) { return MIN(block * V, p->O - V); }

/* to[q stride + l] = sum_i from[q count + i] matrix[i width + l] for `tile` positions q and the lanes l */
INLINE void product_tile(const REAL *from, long count, const REAL *matrix, long width, REAL *to, long stride,
                         const int tile) {
    vec sum[8];
    UNROLL for (int t = 0; t < tile; t++) sum[t] = (vec){0};
    for (long i = 0; i < count; i++) {
        vec w = load(matrix + i * width);
        UNROLL for (int t = 0; t < tile; t++) sum[t] += splat(from[t * count + i]) * w;
    }
    UNROLL for (int t = 0; t < tile; t++) store(to + t * stride, sum[t]);
}

INLINE void product(const REAL *from, long positions, long count, const REAL *matrix, long width, REAL *to,
                    long stride) {
#define CALL(at, tile) product_tile(from + (at) * count, count, matrix, width, to + (at) * stride, stride, tile)
    TILES(positions, CALL);
#undef CALL
}

/* row o of h, as [column][channel] */
INLINE void inner_row(const plan *p, const reader *r, long o, REAL *scratch) {
    const sizes *s = &p->s;
    for (long b = 0; b < s->blocks; b++) {
        const REAL *rows[KH], *w = scratch + b * TAPS * V;
        for (int ky = 0; ky < KH; ky++) rows[ky] = row(r, s, o * SH - s->PH + ky * DH, b);
        REAL *out = scratch + p->h + channel(s, b);
#define CALL(at, tile) forward_tile(rows, at, w, out, s->C, tile)
        TILES(s->OW, CALL);
#undef CALL
    }
}

static void separable_strip(const void *given, long task, REAL *scratch) {
    const plan *p = given;
    const sizes *s = &p->s;
    long n = task / s->strips, first = task % s->strips * s->rows, last = MIN(first + s->rows, s->OH);
    reader r = reading(s, scratch, s->x + n * s->H * s->W * s->C, s->H, s->W, s->PW, 1);
    r.next = first * SH - s->PH;
    for (long o = first; o < last; o++) {
        read_to(&r, s, o * SH - s->PH + REACH_H);
        inner_row(p, &r, o, scratch);
        for (long b = 0; b < p->outs; b++) {
            REAL *to = p->z + (n * s->OH + o) * s->OW * p->O + output(p, b);
            product(scratch + p->h, s->OW, s->C, p->m + output(p, b), p->O, to, p->O);
        }
    }
}

/* what both passes share; the scratch memory begins with weights, a row of zeros and the ring of the input */
INLINE plan planned(const long *n, const REAL *x, const REAL *const *norm, const REAL *w, const REAL *m) {
    plan p = {{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, w, 0, 0}, n[8], up(n[8], V), m, 0, 0};
    sizes *s = &p.s;
    if (NORM) s->mean = norm[0], s->scale = norm[1], s->bias = norm[2];
    s->blocks = up(s->C, V);
    s->width = MAX((s->OW - 1) * SW + REACH_W, MAX(s->OW + BACK_W, (s->W - 1) / SW + BACK_W + 2));
    s->slots = power(REACH_H);
    p.h = s->blocks * TAPS * V + (1 + s->slots * s->blocks) * s->width * V;
    p.back = p.h + up(s->OW * s->C, V) * V;
    p.sums = p.back + s->slots * s->blocks * s->width * V;
    return p;
}

/* m as [channel][output] */
int separable_forward(const long *n, const REAL *x, const REAL *const *norm, const REAL *w, const REAL *m, REAL *z,
                      fork_join team, int threads) {
    plan p = planned(n, x, norm, w, m);
    p.z = z;
    split(&p.s, p.s.N, p.s.OH);
    job j = {begin, separable_strip, &p, p.s.N * p.s.strips, 0, p.back};
    return launch(&j, team, threads);
}

/* sums[output][lane] of one block of channels and one of outputs += gradient of z times h, over one row */
INLINE void matrix_gradient(const plan *p, const REAL *g, const REAL *h, REAL *sums) {
    vec sum[V];
    UNROLL for (int i = 0; i < V; i++) sum[i] = (vec){0};
    for (long c = 0; c < p->s.OW; c++) {
        vec v = load(h + c * p->s.C);
        UNROLL for (int i = 0; i < V; i++) sum[i] += splat(g[c * p->O + i]) * v;
    }
    UNROLL for (int i = 0; i < V; i++) store(sums + i * V, load(sums + i * V) + sum[i]);
}

INLINE void separable_input_row(const plan *p, const reader *r, long n, long i, REAL *scratch, REAL *sums, const int q) {
    const sizes *s = &p->s;
    long base = (i + s->PH) / SH - BACK_H;
    for (long b = 0; b < s->blocks; b++) {
        const REAL *rows[BACK_H + 1], *w = scratch + b * TAPS * V;
        for (int k = 0; k <= BACK_H; k++) rows[k] = row(r, s, base + k, b);
        long c = channel(s, b), at_row = (n * s->H + i) * s->W * s->C + c;
        UNROLL for (int phase = 0; phase < SW; phase++) {
            long start = floor_mod(phase - s->PW, SW), skip = (start + s->PW) / SW - s->PW / SW;
            if (start >= s->W) continue;
#define CALL(at, tile) input_tile(rows, skip + (at), w, s->out + at_row + (start + (at) * SW) * s->C, s->C, q, phase, tile)
            TILES(up(s->W - start, SW), CALL);
#undef CALL
        }
        vec one = {0}, dot = {0};
        for (long k = 0; k < s->W; k++) {
            vec x = load(s->x + at_row + k * s->C);
            vec g = where_positive(normal(s, x, c), load(s->out + at_row + k * s->C));
            store(s->out + at_row + k * s->C, g);
            if (NORM) {
                one += g;
                dot += g * (x - load(s->mean + c));
            }
        }
        if (NORM) {
            REAL *to = sums + b * 2 * V;
            store(to, load(to) + one);
            store(to + V, load(to + V) + dot);
        }
    }
}

INLINE void rows_of_input(const plan *p, const reader *r, long n, long *next, long end, REAL *scratch, REAL *sums) {
    for (; *next < end; ++*next)
        UNROLL for (int q = 0; q < SH; q++)
            if ((*next + p->s.PH) % SH == q) separable_input_row(p, r, n, *next, scratch, sums, q);
}

/* lengths of what a group sums: depthwise weights, matrix, the two sums of the norm */
#define TAP_SUMS(p) ((p)->s.blocks * TAPS * V)
#define MATRIX_SUMS(p) ((p)->s.blocks * (p)->outs * V * V)
#define ALL_SUMS(p) (TAP_SUMS(p) + MATRIX_SUMS(p) + (p)->s.blocks * 2 * V)

static void separable_image(const plan *p, long n, REAL *scratch, REAL *sums) {
    const sizes *s = &p->s;
    reader r = reading(s, scratch, s->x + n * s->H * s->W * s->C, s->H, s->W, s->PW, 1), back = r;
    back.ring = scratch + p->back;
    back.rows = s->OH;
    r.next = -s->PH;
    long offset = BACK_W - s->PW / SW, next = 0;
    for (long o = 0; o < s->OH; o++) {
        const REAL *g = p->z_gradient + (n * s->OH + o) * s->OW * p->O;
        read_to(&r, s, o * SH - s->PH + REACH_H);
        inner_row(p, &r, o, scratch);
        for (long b = 0; b < s->blocks; b++) {
            for (long k = 0; k < p->outs; k++)
                matrix_gradient(p, g + output(p, k), scratch + p->h + channel(s, b),
                                sums + TAP_SUMS(p) + (b * p->outs + k) * V * V);
            REAL *to = back.ring + ((o & (s->slots - 1)) * s->blocks + b) * s->width * V + offset * V;
            product(g, s->OW, p->O, p->m + channel(s, b), s->C, to, V);
            UNROLL for (int k = 0; k + KERNEL_ROWS <= KH; k += KERNEL_ROWS)
                weight_taps(s, &r, o * SH - s->PH, 1, b, to, V, sums + b * TAPS * V, k, KERNEL_ROWS);
            if (KH % KERNEL_ROWS)
                weight_taps(s, &r, o * SH - s->PH, 1, b, to, V, sums + b * TAPS * V, KH - KH % KERNEL_ROWS, KH % KERNEL_ROWS);
        }
        rows_of_input(p, &back, n, &next, MIN(s->H, (o + 1) * SH - s->PH), scratch, sums + TAP_SUMS(p) + MATRIX_SUMS(p));
    }
    rows_of_input(p, &back, n, &next, s->H, scratch, sums + TAP_SUMS(p) + MATRIX_SUMS(p));
}

static void separable_group(const void *given, long task, REAL *scratch) {
    const plan *p = given;
    REAL *sums = p->s.partial + task * ALL_SUMS(p);
    memset(sums, 0, (size_t)ALL_SUMS(p) * sizeof(REAL));
    for (long n = task * p->s.units; n < MIN((task + 1) * p->s.units, p->s.N); n++) separable_image(p, n, scratch, sums);
}

/* m as [output][channel], as is dm; dx of the normalised input; norms: [2][channel], the sums over positions of dx and
 * of dx (x - mean) */
int separable_gradient(const long *n, const REAL *x, const REAL *const *norm, const REAL *w, const REAL *m,
                       const REAL *g, REAL *dx, REAL *dw, REAL *dm, REAL *norms, fork_join team, int threads) {
    plan p = planned(n, x, norm, w, m);
    sizes *s = &p.s;
    p.z_gradient = g;
    s->out = dx;
    s->units = up(s->N, 16);
    s->groups = up(s->N, s->units);
    long length = ALL_SUMS(&p);
    s->partial = malloc((size_t)((s->groups + 1) * length) * sizeof(REAL));
    if (!s->partial) return 1;
    job j = {begin, separable_group, &p, s->groups, 0, p.sums};
    int failed = launch(&j, team, threads);
    REAL *sums = s->partial + s->groups * length, *matrix = sums + TAP_SUMS(&p), *rest = matrix + MATRIX_SUMS(&p);
    reduce(s, length, sums);
    for (long b = 0; b < s->blocks; b++)
        for (long l = 0; l < V; l++) {
            long c = channel(s, b) + l;
            for (long t = 0; t < TAPS; t++) dw[c * TAPS + t] = sums[(b * TAPS + t) * V + l];
            for (long k = 0; k < p.outs; k++)
                for (long i = 0; i < V; i++)
                    dm[(output(&p, k) + i) * s->C + c] = matrix[((b * p.outs + k) * V + i) * V + l];
            if (NORM) {
                norms[c] = rest[b * 2 * V + l];
                norms[s->C + c] = rest[(b * 2 + 1) * V + l];
            }
        }
    free(s->partial);
    return failed;
}
