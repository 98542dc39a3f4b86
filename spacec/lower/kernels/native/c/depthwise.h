/* Depthwise convolution: what both memory formats share.
 *
 * Given by the generator: KH KW (kernel), SH SW (stride), DH DW (dilation), and for the
 * rows in channels_last RELU (1: the convolution reads max(x, 0)) and NORM (1: of the normalised input, see `normal`).
 * All other sizes are known at run time.
 *
 *   out[o] = sum_k w[k] x[o S - P + k D]
 *   dx[i]  = sum_k w[k] dout[(i + P - k D) / S]   where S divides
 *   dw[k]  = sum_o dout[o] x[o S - P + k D]
 */
#define TAPS (KH * KW)
#define REACH_H ((KH - 1) * DH + 1)
#define REACH_W ((KW - 1) * DW + 1)
/* of the input gradient: gradients of outputs that one input row or column reads, less one */
#define BACK_H (((KH - 1) * DH) / SH)
#define BACK_W (((KW - 1) * DW) / SW)
#define BLOCK 64                                         /* products summed before a sum goes up one level */

typedef struct {
    long N, C, H, W, OH, OW, PH, PW;
    const REAL *x, *w, *g;
    REAL *out;
    long strips, rows; /* of a plane: strips of `rows` rows each */
    long width;        /* columns of a padded row */
    long blocks;       /* of channels, or of columns */
    long slots;        /* rows in the ring, or of a padded plane */
    long step;         /* rows of a weight gradient done at once */
    long groups, units;
    REAL *partial;
    const REAL *mean, *scale, *bias; /* of the normalised input, by channel */
} sizes;

/* dw from the partial sums of all groups, in their order */
INLINE void reduce(const sizes *s, long length, REAL *into) {
    memcpy(into, s->partial, (size_t)length * sizeof(REAL));
    for (long g = 1; g < s->groups; g++)
        for (long i = 0; i < length; i++) into[i] += s->partial[g * length + i];
}

/* Strips for enough tasks to share out; a function of sizes alone, so that results depend on no thread count. */
INLINE void split(sizes *s, long planes, long rows) {
    long wanted = planes >= 16 ? 1 : up(16, planes);
    s->rows = MAX(MIN(rows, 8), up(rows, wanted));
    s->strips = up(rows, s->rows);
}
