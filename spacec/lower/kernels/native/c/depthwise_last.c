/* Depthwise convolution over channels_last tensors, of the pieces in depthwise_rows.h. */

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

INLINE void input_row(const sizes *s, const reader *r, long n, long i, long base, const REAL *scratch, const int q) {
    for (long b = 0; b < s->blocks; b++) {
        const REAL *rows[BACK_H + 1], *w = scratch + b * TAPS * V;
        for (int k = 0; k <= BACK_H; k++) rows[k] = row(r, s, base + k, b);
        UNROLL for (int phase = 0; phase < SW; phase++) {
            long start = floor_mod(phase - s->PW, SW), skip = (start + s->PW) / SW - s->PW / SW;
            if (start >= s->W) continue;
            long at_pixel = ((n * s->H + i) * s->W + start) * s->C + channel(s, b);
#define CALL(at, tile) input_tile(rows, skip + (at), w, s->out + at_pixel + (at) * SW * s->C, s->C, q, phase, tile)
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

int input_gradient(const long *n, const REAL *g, const REAL *w, REAL *dx, fork_join team, int threads) {
    sizes s = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 0, w, g, dx};
    split(&s, s.N, s.H);
    s.blocks = up(s.C, V);
    s.width = (s.W - 1 + s.PW) / SW - s.PW / SW + BACK_W + 1;
    s.slots = power(BACK_H + 1);
    job j = {begin, input_strip, &s, s.N * s.strips, 0, s.blocks * TAPS * V + (1 + s.slots * s.blocks) * s.width * V};
    return launch(&j, team, threads);
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
