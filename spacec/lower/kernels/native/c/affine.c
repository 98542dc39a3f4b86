/* Sums of T tensors in channels_last, each an affine map of its own by channel, and their gradients.
 *
 * M positions of C channels, V <= C to a vector; `step[t]` lies between the positions of tensor t, C between those of
 * the rest. Matrices are [T][C]. Sums are taken of 64 positions, then of groups, then in double precision. */
typedef struct {
    long M, C, T, units;
    const long *step;
    const REAL *const *z;
    const REAL *g, *a, *b, *c;
    REAL *out, *const *dz;
    REAL *partial; /* [group][T + 1][channel] */
} affine_plan;

static affine_plan affine_sizes(const long *n, const REAL *const *z) {
    return (affine_plan){.M = n[0], .C = n[1], .T = n[2], .units = MAX(64L, up(up(n[0], 64), 64L) * 64L), .step = n + 3, .z = z};
}

static void affine_group(const void *given, long task, REAL *scratch) {
    (void)scratch;
    const affine_plan *p = given;
    long end = MIN((task + 1) * p->units, p->M);
    for (long first = task * p->units; first < end; first += 64L) {
        long last = MIN(first + 64L, end);
        for (long k = 0; k < up(p->C, V); k++) {
            long c = MIN(k * V, p->C - V);
            vec constant = load(p->c + c), a = load(p->a + c);
            if (p->T == 1) {
                for (long i = first; i < last; i++)
                    store(p->out + i * p->C + c, a * load(p->z[0] + i * p->step[0] + c) + constant);
                continue;
            }
            vec second = load(p->a + p->C + c);
            for (long i = first; i < last; i++) {
                vec sum = a * load(p->z[0] + i * p->step[0] + c) + constant;
                sum += second * load(p->z[1] + i * p->step[1] + c);
                for (long t = 2; t < p->T; t++)
                    sum += load(p->a + t * p->C + c) * load(p->z[t] + i * p->step[t] + c);
                store(p->out + i * p->C + c, sum);
            }
        }
    }
}

/* out = sum_t a_t z_t + c, c [C] */
int affine_sum(const long *n, const REAL *const *z, const REAL *a, const REAL *c, REAL *out, fork_join team,
               int threads) {
    affine_plan p = affine_sizes(n, z);
    p.a = a, p.c = c, p.out = out;
    job j = {0, affine_group, &p, up(p.M, p.units), 0, V};
    return launch(&j, team, threads);
}

static void products_group(const void *given, long task, REAL *scratch) {
    (void)scratch;
    const affine_plan *p = given;
    long first = task * p->units, end = MIN(first + p->units, p->M);
    for (long k = 0; k < up(p->C, V); k++) {
        long c = MIN(k * V, p->C - V);
        for (long t = 0; t <= p->T; t++) {
            vec sum = {0}, mean = t < p->T ? load(p->a + t * p->C + c) : (vec){0};
            for (long at = first; at < end; at += 64L) {
                long count = MIN(64L, end - at), i = 0;
                const REAL *g = p->g + at * p->C + c, *z = t < p->T ? p->z[t] + at * p->step[t] + c : 0;
                vec part[4] = {{0}, {0}, {0}, {0}};
                if (z) {
                    long step = p->step[t];
                    for (; i + 4 <= count; i += 4)
                        UNROLL for (int q = 0; q < 4; q++)
                            part[q] += load(g + (i + q) * p->C) * (load(z + (i + q) * step) - mean);
                    for (; i < count; i++) part[0] += load(g + i * p->C) * (load(z + i * step) - mean);
                } else {
                    for (; i + 4 <= count; i += 4)
                        UNROLL for (int q = 0; q < 4; q++) part[q] += load(g + (i + q) * p->C);
                    for (; i < count; i++) part[0] += load(g + i * p->C);
                }
                sum += (part[0] + part[1]) + (part[2] + part[3]);
            }
            store(p->partial + (task * (p->T + 1) + t) * p->C + c, sum);
        }
    }
}

/* sums_t = sum over positions of g (z_t - mean_t), and in the last row that of g */
int affine_products(const long *n, const REAL *const *z, const REAL *mean, const REAL *g, REAL *sums, fork_join team,
                    int threads) {
    affine_plan p = affine_sizes(n, z);
    p.a = mean, p.g = g;
    long groups = up(p.M, p.units), row = (p.T + 1) * p.C;
    p.partial = malloc((size_t)(groups * row) * sizeof(REAL));
    if (!p.partial) return 1;
    job j = {0, products_group, &p, groups, 0, V};
    int failed = launch(&j, team, threads);
    for (long k = 0; k < row; k++) {
        double sum = 0;
        for (long group = 0; group < groups; group++) sum += p.partial[group * row + k];
        sums[k] = (REAL)sum;
    }
    free(p.partial);
    return failed;
}

static void gradients_group(const void *given, long task, REAL *scratch) {
    (void)scratch;
    const affine_plan *p = given;
    long end = MIN((task + 1) * p->units, p->M);
    for (long first = task * p->units; first < end; first += 64L) {
        long last = MIN(first + 64L, end);
        for (long t = 0; t < p->T; t++) {
            if (!p->dz[t]) continue;
            for (long k = 0; k < up(p->C, V); k++) {
                long c = MIN(k * V, p->C - V), row = t * p->C + c;
                vec a = load(p->a + row), b = load(p->b + row), constant = load(p->c + row);
                REAL *to = p->dz[t] + c;
                const REAL *z = p->z[t] + c, *g = p->g + c;
                if (p->step[t])
                    for (long i = first; i < last; i++)
                        store(to + i * p->C, a * load(g + i * p->C) + (b * load(z + i * p->step[t]) + constant));
                else
                    for (long i = first; i < last; i++) store(to + i * p->C, a * load(g + i * p->C));
            }
        }
    }
}

/* dz_t = a_t g + b_t z_t + c_t, for those that are asked for; a_t g alone where step[t] is 0 */
int affine_gradients(const long *n, const REAL *const *z, const REAL *g, const REAL *a, const REAL *b, const REAL *c,
                     REAL *const *dz, fork_join team, int threads) {
    affine_plan p = affine_sizes(n, z);
    p.g = g, p.a = a, p.b = b, p.c = c, p.dz = dz;
    job j = {0, gradients_group, &p, up(p.M, p.units), 0, V};
    return launch(&j, team, threads);
}
