/* Depthwise convolution over tensors in the default format: a vector holds V columns of one row.
 *
 * Each plane is copied once into a padded plane (zeros around it; for stride 2 the even and the odd columns apart), so
 * that the inner loops have neither borders nor gaps. */

#define ROWS 4 /* output rows at once: each vector of the input is loaded for all of them */

/* plane[row + up][(column + left) % step][(column + left) / step], where it has room */
INLINE void pad(REAL *plane, const REAL *from, long rows, long columns, long above, long left, long height, long width,
                const int step) {
    for (long i = MAX(0, -above); i < MIN(rows, height - above); i++) {
        const REAL *in = from + i * columns;
        REAL *to = plane + (i + above) * step * width;
        UNROLL for (int phase = 0; phase < step; phase++) {
            long start = floor_mod(phase - left, step);
            long skip = start + left < 0 ? up(-start - left, step) : 0; /* columns cropped by a negative padding */
            REAL *at = to + phase * width + (start + left + skip * step) / step;
            const REAL *source = in + start + skip * step;
            long count = MIN(up(MAX(0, columns - start - skip * step), step), width - (at - to - phase * width));
            for (long c = 0; c < count; c++) at[c] = source[c * step];
        }
    }
}

INLINE void store_some(REAL *out, vec v, long count) {
    if (count >= V) {
        store(out, v);
    } else {
        REAL part[V];
        store(part, v);
        for (long i = 0; i < count; i++) out[i] = part[i];
    }
}

INLINE void forward_rows(const sizes *s, const REAL *plane, const REAL *w, REAL *out, long o, const int rows) {
    for (long c = 0; c < s->OW; c += V) {
        vec sum[ROWS];
        UNROLL for (int m = 0; m < rows; m++) sum[m] = (vec){0};
        UNROLL for (int i = 0; i < (rows - 1) * SH + REACH_H; i++) {
            const REAL *in = plane + (o * SH + i) * SW * s->width + c;
            UNROLL for (int kx = 0; kx < KW; kx++) {
                vec v = load(in + (kx * DW % SW) * s->width + kx * DW / SW);
                UNROLL for (int m = 0; m < rows; m++) {
                    int reach = i - m * SH;
                    if (reach >= 0 && reach < REACH_H && reach % DH == 0)
                        sum[m] += splat(w[reach / DH * KW + kx]) * v;
                }
            }
        }
        UNROLL for (int m = 0; m < rows; m++) store_some(out + (o + m) * s->OW + c, sum[m], s->OW - c);
    }
}

static void forward_planes(const void *given, long task, REAL *plane) {
    const sizes *s = given;
    for (long p = task * s->units; p < MIN((task + 1) * s->units, s->N * s->C); p++) {
        const REAL *w = s->w + p % s->C * TAPS;
        REAL *out = s->out + p * s->OH * s->OW;
        pad(plane, s->x + p * s->H * s->W, s->H, s->W, s->PH, s->PW, s->slots, s->width, SW);
        long o = 0;
        for (; o + ROWS <= s->OH; o += ROWS) forward_rows(s, plane, w, out, o, ROWS);
        for (; o < s->OH; o++) forward_rows(s, plane, w, out, o, 1);
    }
}

int forward(const long *n, const REAL *x, const REAL *w, REAL *out, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, w, 0, out};
    s.units = up(s.N * s.C, 64);
    s.slots = (s.OH - 1) * SH + REACH_H;
    s.width = up(s.OW, V) * V + (KW - 1) * DW / SW;
    job j = {0, forward_planes, &s, up(s.N * s.C, s.units), 0, s.slots * SW * s.width};
    return launch(&j, team, threads);
}

/* rows m of phase q (rows q - P modulo the stride) into spread[phase of columns][m - first][column] */
INLINE void input_rows(const sizes *s, const REAL *plane, const REAL *w, REAL *spread, long base, long columns,
                       const int q, const int rows) {
    UNROLL for (int phase = 0; phase < SW; phase++) {
        long start = floor_mod(phase - s->PW, SW), skip = (start + s->PW) / SW - s->PW / SW;
        for (long c = 0; c < columns; c += V) {
            vec sum[ROWS];
            UNROLL for (int m = 0; m < rows; m++) sum[m] = (vec){0};
            UNROLL for (int i = 0; i < rows + BACK_H; i++) {
                UNROLL for (int kx = 0; kx < KW; kx++) {
                    if (kx * DW % SW != phase) continue;
                    vec v = load(plane + (base + i) * s->width + skip + c + BACK_W - (kx * DW - phase) / SW);
                    UNROLL for (int ky = 0; ky < KH; ky++) {
                        if (ky * DH % SH != q) continue;
                        int m = i - BACK_H + (ky * DH - q) / SH;
                        if (m >= 0 && m < rows) sum[m] += splat(w[ky * KW + kx]) * v;
                    }
                }
            }
            UNROLL for (int m = 0; m < rows; m++) store(spread + (phase * rows + m) * columns + c, sum[m]);
        }
    }
}

INLINE void gather(const sizes *s, const REAL *spread, REAL *out, long columns, const int rows, int m) {
    UNROLL for (int phase = 0; phase < SW; phase++) {
        long start = floor_mod(phase - s->PW, SW);
        const REAL *from = spread + (phase * rows + m) * columns;
        long count = start < s->W ? up(s->W - start, SW) : 0;
        for (long c = 0; c < count; c++) out[start + c * SW] = from[c];
    }
}

INLINE void input_group(const sizes *s, const REAL *plane, const REAL *w, REAL *spread, long p, long i, long columns,
                        const int q, const int rows) {
    input_rows(s, plane, w, spread, (i + s->PH) / SH - s->PH / SH, columns, q, rows);
    for (int m = 0; m < rows; m++) {
        long at = (p * s->H + i + m * SH) * s->W;
        gather(s, spread, s->out + at, columns, rows, m);
    }
}

static void input_planes(const void *given, long task, REAL *plane) {
    const sizes *s = given;
    long columns = up(up(s->W, SW), V) * V;
    REAL *spread = plane + s->slots * s->width;
    for (long p = task * s->units; p < MIN((task + 1) * s->units, s->N * s->C); p++) {
        const REAL *w = s->w + p % s->C * TAPS;
        pad(plane, s->g + p * s->OH * s->OW, s->OH, s->OW, BACK_H - s->PH / SH, BACK_W - s->PW / SW, s->slots,
            s->width, 1);
        UNROLL for (int q = 0; q < SH; q++) {
            long i = floor_mod(q - s->PH, SH);
            for (; i + (ROWS - 1) * SH < s->H; i += ROWS * SH) input_group(s, plane, w, spread, p, i, columns, q, ROWS);
            for (; i < s->H; i += SH) input_group(s, plane, w, spread, p, i, columns, q, 1);
        }
    }
}

int input_gradient(const long *n, const REAL *g, const REAL *w, REAL *dx, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 0, w, g, dx};
    s.units = up(s.N * s.C, 64);
    s.slots = (s.H - 1 + s.PH) / SH - s.PH / SH + BACK_H + 1;
    s.width = up(up(s.W, SW), V) * V + BACK_W + 1;
    job j = {0, input_planes, &s, up(s.N * s.C, s.units), 0,
             s.slots * s.width + SW * ROWS * up(up(s.W, SW), V) * V};
    return launch(&j, team, threads);
}

#define KERNEL_ROWS MAX(1, MIN(KH, ACCUMULATORS / KW)) /* rows of taps whose sums fit the registers */

INLINE void weight_taps(const sizes *s, const REAL *plane, const REAL *g, REAL *sums, long o, long rows,
                        const int first, const int count) {
    long columns = up(s->OW, V) * V;
    vec sum[KERNEL_ROWS * KW];
    UNROLL for (int t = 0; t < count * KW; t++) sum[t] = (vec){0};
    for (long i = o; i < o + rows; i++) {
        const REAL *in = plane + (i * SH + first * DH) * SW * s->width;
        for (long c = 0; c < columns; c += V) {
            vec d = load(g + i * columns + c);
            UNROLL for (int k = 0; k < count; k++) UNROLL for (int kx = 0; kx < KW; kx++)
                sum[k * KW + kx] += d * load(in + (k * DH * SW + kx * DW % SW) * s->width + kx * DW / SW + c);
        }
    }
    UNROLL for (int t = 0; t < count * KW; t++) {
        REAL *to = sums + (first * KW + t) * V;
        store(to, load(to) + sum[t]);
    }
}

/* one channel of a few images: partial[group][channel][tap] */
static void weight_planes(const void *given, long task, REAL *scratch) {
    const sizes *s = given;
    long group = task / s->C, channel = task % s->C, columns = up(s->OW, V) * V;
    REAL *sums = scratch, *g = sums + TAPS * V, *plane = g + s->OH * columns;
    memset(sums, 0, TAPS * V * sizeof(REAL));
    for (long n = group * s->units; n < MIN((group + 1) * s->units, s->N); n++) {
        long p = n * s->C + channel;
        pad(plane, s->x + p * s->H * s->W, s->H, s->W, s->PH, s->PW, s->slots, s->width, SW);
        pad(g, s->g + p * s->OH * s->OW, s->OH, s->OW, 0, 0, s->OH, columns, 1);
        for (long o = 0; o < s->OH; o += s->step) {
            long rows = MIN(s->step, s->OH - o);
            UNROLL for (int k = 0; k + KERNEL_ROWS <= KH; k += KERNEL_ROWS)
                weight_taps(s, plane, g, sums, o, rows, k, KERNEL_ROWS);
            if (KH % KERNEL_ROWS)
                weight_taps(s, plane, g, sums, o, rows, KH - KH % KERNEL_ROWS, KH % KERNEL_ROWS);
        }
    }
    for (long t = 0; t < TAPS; t++) s->partial[task * TAPS + t] = total(load(sums + t * V));
}

int weight_gradient(const long *n, const REAL *g, const REAL *x, REAL *dw, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], x, 0, g, dw};
    s.slots = (s.OH - 1) * SH + REACH_H;
    s.width = up(s.OW, V) * V + (KW - 1) * DW / SW;
    s.step = up(BLOCK, up(s.OW, V));
    s.units = up(s.N, s.C >= 16 ? 1 : MIN(s.N, up(16, s.C)));
    s.groups = up(s.N, s.units);
    s.partial = malloc((size_t)(s.groups * s.C * TAPS) * sizeof(REAL));
    if (!s.partial) return 1;
    job j = {0, weight_planes, &s, s.groups * s.C, 0, TAPS * V + s.OH * up(s.OW, V) * V + s.slots * SW * s.width};
    int failed = launch(&j, team, threads);
    reduce(&s, s.C * TAPS, dw);
    free(s.partial);
    return failed;
}
