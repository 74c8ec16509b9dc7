// Rotary causal attention with grouped heads of 16 numbers, forward and backward, for training on a CPU.
//
// qkv: [batch, length, heads + 2 * kv_heads, 16] in bfloat16 (queries, then keys, then values); cosine, sine: [length, 16].
// One vector holds one head (or 16 keys), so every product is a chain of multiply-adds on whole vectors; probabilities are not
// kept but computed again in the backward pass. Single-threaded: every worker process has its own thread.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
constexpr int D = 16;      // numbers per head
constexpr int ROWS = 4;    // queries computed together

static inline Lanes spread(float x) { return Lanes{} + x; }

static inline Lanes exponential(Lanes x) {  // relative error about 1e-6, for x <= 0 or slightly above
    x = x < -87.0f ? spread(-87.0f) : x;
    Lanes t = x * 1.44269504f;
    Lanes magic = spread(12582912.0f);
    Lanes rounded = t + magic;
    Ints exponent = (Ints)rounded - (Ints)magic;
    asm volatile("" : "+v"(rounded));  // keep fast-math from cancelling the rounding
    Lanes f = (t - (rounded - magic)) * 0.69314718f;
    Lanes p = 1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * (0.0083333333f + f * 0.0013888889f)))));
    return (Lanes)((Ints)p + (exponent << 23));
}

static inline float narrow_sum(Lanes x) {
    float total = 0;
    for (int d = 0; d < D; d++) total += x[d];
    return total;
}

static inline Lanes load_bf16(const uint16_t *from) {
    Ints wide;
    for (int d = 0; d < D; d++) wide[d] = (int32_t)((uint32_t)from[d] << 16);
    return (Lanes)wide;
}

static inline void store_bf16(uint16_t *to, Lanes x) {
    uint32_t bits[D];
    std::memcpy(bits, &x, 64);
    for (int d = 0; d < D; d++) to[d] = (uint16_t)((bits[d] + 0x7FFF + ((bits[d] >> 16) & 1)) >> 16);
}

static inline Lanes rotate(Lanes x, Lanes cosine, Lanes sine, float direction) {
    Lanes turned;
    for (int d = 0; d < D / 2; d++) turned[d] = -x[d + D / 2], turned[d + D / 2] = x[d];
    return x * cosine + turned * sine * direction;
}

// Keys or values of one kv head, as rows and transposed (16 rows of `width` numbers).
struct Side {
    std::vector<Lanes> rows, transposed;
    int width;
    explicit Side(int length) : rows(length), transposed(D * ((length + 15) / 16)), width((length + 15) / 16) {}
    void transpose() {
        std::fill(transposed.begin(), transposed.end(), Lanes{});
        for (size_t n = 0; n < rows.size(); n++)
            for (int d = 0; d < D; d++) transposed[d * width + n / 16][n % 16] = rows[n][d];
    }
};

// out[r][block] = dot products of ROWS queries with 16 keys per block
static inline void dots(const Lanes *queries, const Side &side, int blocks, Lanes *out, int stride) {
    for (int block = 0; block < blocks; block++) {
        Lanes sum[ROWS] = {};
        for (int d = 0; d < D; d++) {
            Lanes keys = side.transposed[d * side.width + block];
            for (int r = 0; r < ROWS; r++) sum[r] += keys * queries[r][d];
        }
        for (int r = 0; r < ROWS; r++) out[r * stride + block] = sum[r];
    }
}

struct Shape { int batch, length, heads, kv_heads; };

// One group of ROWS queries: position and head of each; absent ones repeat the last.
struct Group {
    int position[ROWS], head[ROWS], count;
};

template <typename F> static void for_groups(const Shape &s, int kv, F visit) {
    int per = s.heads / s.kv_heads, total = s.length * per;
    for (int start = 0; start < total; start += ROWS) {
        Group g;
        g.count = std::min(ROWS, total - start);
        for (int r = 0; r < ROWS; r++) {
            int i = start + std::min(r, g.count - 1);
            g.position[r] = i / per, g.head[r] = kv * per + i % per;
        }
        visit(g);
    }
}

static void read_side(const uint16_t *qkv, const Shape &s, int b, int slot, const float *cosine, const float *sine, Side &side) {
    int slots = s.heads + 2 * s.kv_heads;
    for (int n = 0; n < s.length; n++) {
        Lanes x = load_bf16(qkv + ((size_t)(b * s.length + n) * slots + slot) * D);
        if (cosine) {
            Lanes c, t;
            std::memcpy(&c, cosine + n * D, 64), std::memcpy(&t, sine + n * D, 64);
            x = rotate(x, c, t, 1.0f);
        }
        side.rows[n] = x;
    }
    side.transpose();
}

static inline Lanes read_query(const uint16_t *qkv, const Shape &s, int b, int position, int head, const float *cosine, const float *sine) {
    int slots = s.heads + 2 * s.kv_heads;
    Lanes c, t;
    std::memcpy(&c, cosine + position * D, 64), std::memcpy(&t, sine + position * D, 64);
    return rotate(load_bf16(qkv + ((size_t)(b * s.length + position) * slots + head) * D), c, t, 1.0f) * 0.25f;
}

static inline Lanes masked(Lanes x, int block, int last, float fill) {  // keys after `last` get `fill`
    for (int j = 0; j < 16; j++)
        if (block * 16 + j > last) x[j] = fill;
    return x;
}

extern "C" void attention_forward(const uint16_t *qkv, const float *cosine, const float *sine, uint16_t *out, float *log_sums, int batch,
                                  int length, int heads, int kv_heads) {
    Shape s{batch, length, heads, kv_heads};
    Side keys(length), values(length);
    std::vector<Lanes> scores(ROWS * keys.width);
    for (int b = 0; b < batch; b++)
        for (int kv = 0; kv < kv_heads; kv++) {
            read_side(qkv, s, b, heads + kv, cosine, sine, keys);
            read_side(qkv, s, b, heads + kv_heads + kv, nullptr, nullptr, values);
            for_groups(s, kv, [&](const Group &g) {
                Lanes queries[ROWS];
                for (int r = 0; r < ROWS; r++) queries[r] = read_query(qkv, s, b, g.position[r], g.head[r], cosine, sine);
                int last = g.position[ROWS - 1], blocks = last / 16 + 1;
                dots(queries, keys, blocks, scores.data(), keys.width);
                float log_sum[ROWS], scale[ROWS];
                for (int r = 0; r < ROWS; r++) {
                    Lanes *row = &scores[r * keys.width], top = spread(-1e30f), sum = {};
                    for (int j = g.position[r] / 16; j < blocks; j++) row[j] = masked(row[j], j, g.position[r], -1e30f);
                    for (int j = 0; j < blocks; j++) top = row[j] > top ? row[j] : top;
                    float highest = top[0];
                    for (int d = 1; d < D; d++) highest = std::max(highest, top[d]);
                    for (int j = 0; j < blocks; j++) {
                        row[j] = exponential(row[j] - highest);
                        if (j >= g.position[r] / 16) row[j] = masked(row[j], j, g.position[r], 0.0f);
                        sum += row[j];
                    }
                    float total = narrow_sum(sum);
                    log_sum[r] = highest + std::log(total), scale[r] = 1.0f / total;
                }
                Lanes mixed[ROWS] = {};
                const float *weights = (const float *)scores.data();
                for (int n = 0; n <= last; n++)
                    for (int r = 0; r < ROWS; r++) mixed[r] += values.rows[n] * weights[r * keys.width * 16 + n];
                for (int r = 0; r < g.count; r++) {
                    store_bf16(out + ((size_t)(b * length + g.position[r]) * heads + g.head[r]) * D, mixed[r] * scale[r]);
                    log_sums[(size_t)(b * heads + g.head[r]) * length + g.position[r]] = log_sum[r];
                }
            });
        }
}

extern "C" void attention_backward(const uint16_t *qkv, const float *cosine, const float *sine, const uint16_t *out, const float *log_sums,
                                   const uint16_t *d_out, uint16_t *d_qkv, int batch, int length, int heads, int kv_heads) {
    Shape s{batch, length, heads, kv_heads};
    Side keys(length), values(length);
    std::vector<Lanes> scores(ROWS * keys.width), d_scores(ROWS * keys.width), d_keys(length), d_values(length);
    int slots = heads + 2 * kv_heads;
    for (int b = 0; b < batch; b++)
        for (int kv = 0; kv < kv_heads; kv++) {
            read_side(qkv, s, b, heads + kv, cosine, sine, keys);
            read_side(qkv, s, b, heads + kv_heads + kv, nullptr, nullptr, values);
            std::fill(d_keys.begin(), d_keys.end(), Lanes{});
            std::fill(d_values.begin(), d_values.end(), Lanes{});
            for_groups(s, kv, [&](const Group &g) {
                Lanes queries[ROWS], grads[ROWS], d_queries[ROWS] = {};
                float shift[ROWS], log_sum[ROWS];
                for (int r = 0; r < ROWS; r++) {
                    size_t place = ((size_t)(b * length + g.position[r]) * heads + g.head[r]) * D;
                    queries[r] = read_query(qkv, s, b, g.position[r], g.head[r], cosine, sine);
                    grads[r] = r < g.count ? load_bf16(d_out + place) : Lanes{};
                    shift[r] = narrow_sum(grads[r] * load_bf16(out + place));
                    log_sum[r] = log_sums[(size_t)(b * heads + g.head[r]) * length + g.position[r]];
                }
                int last = g.position[ROWS - 1], blocks = last / 16 + 1;
                dots(queries, keys, blocks, scores.data(), keys.width);
                dots(grads, values, blocks, d_scores.data(), keys.width);
                for (int r = 0; r < ROWS; r++) {
                    Lanes *row = &scores[r * keys.width], *d_row = &d_scores[r * keys.width];
                    for (int j = 0; j < blocks; j++) {
                        Lanes p = exponential(row[j] - log_sum[r]);
                        if (j >= g.position[r] / 16) p = masked(p, j, g.position[r], 0.0f);
                        if (r >= g.count) p = Lanes{};
                        d_row[j] = p * (d_row[j] - shift[r]);
                        row[j] = p;
                    }
                }
                const float *p = (const float *)scores.data(), *d = (const float *)d_scores.data();
                for (int n = 0; n <= last; n++) {
                    Lanes key = keys.rows[n], d_key = d_keys[n], d_value = d_values[n];
                    for (int r = 0; r < ROWS; r++) {
                        float weight = p[r * keys.width * 16 + n], d_score = d[r * keys.width * 16 + n];
                        d_queries[r] += key * d_score;
                        d_key += queries[r] * d_score;
                        d_value += grads[r] * weight;
                    }
                    d_keys[n] = d_key, d_values[n] = d_value;
                }
                for (int r = 0; r < g.count; r++) {
                    Lanes c, t;
                    std::memcpy(&c, cosine + g.position[r] * D, 64), std::memcpy(&t, sine + g.position[r] * D, 64);
                    store_bf16(d_qkv + ((size_t)(b * length + g.position[r]) * slots + g.head[r]) * D,
                               rotate(d_queries[r] * 0.25f, c, t, -1.0f));
                }
            });
            for (int n = 0; n < length; n++) {
                uint16_t *place = d_qkv + (size_t)(b * length + n) * slots * D;
                Lanes c, t;
                std::memcpy(&c, cosine + n * D, 64), std::memcpy(&t, sine + n * D, 64);
                store_bf16(place + (heads + kv) * D, rotate(d_keys[n], c, t, -1.0f));
                store_bf16(place + (heads + kv_heads + kv) * D, d_values[n]);
            }
        }
}
