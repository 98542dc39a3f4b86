/* Vectors, workers and sums that every generated kernel uses.
 *
 * Given by the generator: REAL (float or double), V (lanes of a vector, a power of two). */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 128")
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#if defined(__AVX512F__) || defined(__aarch64__)
#define ACCUMULATORS 28 /* of 32 vector registers */
#else
#define ACCUMULATORS 12 /* of 16 */
#endif

typedef REAL vec __attribute__((vector_size(V * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#if REAL_BYTES == 4
typedef int32_t lanes __attribute__((vector_size(V * 4), aligned(4), may_alias));
#else
typedef int64_t lanes __attribute__((vector_size(V * 8), aligned(8), may_alias));
#endif

INLINE vec load(const REAL *p) { return *(const vec *)p; }
INLINE void store(REAL *p, vec v) { *(vec *)p = v; }
INLINE vec splat(REAL s) { return s - (vec){0}; } /* what compilers know as one instruction; keeps the sign of 0 */
/* max(v, 0); a NaN stays one */
INLINE vec positive(vec v) { return (vec)((lanes)v & ~(lanes)(v < (vec){0})); }
/* g where x > 0 or is a NaN, 0 elsewhere: the derivative of max(x, 0) times g */
INLINE vec where_positive(vec x, vec g) { return (vec)((lanes)g & ~(lanes)(x <= (vec){0})); }
INLINE REAL total(vec v) {
    REAL part[V];
    store(part, v);
    for (int half = V / 2; half; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}
INLINE long floor_mod(long a, long b) { return (a % b + b) % b; }
INLINE long up(long a, long b) { return (a + b - 1) / b; }

/* Tasks 0..tasks-1, taken one by one by the threads of a team; results depend on no order. */
typedef struct job {
    void (*begin)(const void *sizes, REAL *scratch);
    void (*run)(const void *sizes, long task, REAL *scratch);
    const void *sizes;
    long tasks, next, scratch; /* scratch: elements that each thread needs, given zeroed */
} job;

static void work(void *given) {
    job *j = given;
    REAL *scratch = aligned_alloc(64, (size_t)up(j->scratch * (long)sizeof(REAL), 64) * 64 + 64);
    if (!scratch) return; /* another thread may have had more luck: see launch */
    memset(scratch, 0, (size_t)j->scratch * sizeof(REAL));
    if (j->begin) j->begin(j->sizes, scratch);
    for (long i; (i = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED)) < j->tasks;) j->run(j->sizes, i, scratch);
    free(scratch);
}

static void *thread(void *given) {
    work(given);
    return 0;
}

/* `team` is GOMP_parallel of the OpenMP runtime in this process, so that its threads are torch's own; without one,
 * threads are started and joined. Returns 0, or 1 where no thread had memory. */
typedef void (*fork_join)(void (*)(void *), void *, unsigned, unsigned);
static int launch(job *j, fork_join team, int threads) {
    threads = (int)MIN((long)MIN(threads, 256), j->tasks);
    if (threads <= 1) {
        work(j);
    } else if (team) {
        team(work, j, (unsigned)threads, 0);
    } else {
        pthread_t others[256];
        int started = 0;
        while (started < threads - 1 && !pthread_create(&others[started], 0, thread, j)) started++;
        work(j);
        while (started) pthread_join(others[--started], 0);
    }
    return j->next < j->tasks;
}
