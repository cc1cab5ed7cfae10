/* fake_cudnn_run.cpp: what the fake cuDNN's engines can do, and what they compute. See fake_cudnn.h. */
#include <cudnn.h>

#include <sstream>

#include "cuda/fake/fake_cudnn.h"

namespace fake_cudnn {

/* ---- Engines ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)

engine_facts facts_of(int64_t engine) {
    switch (engine) {
        case LAST_RESORT:
            return {NOTE(STRICT_NAN_PROP), 0};
        case ROUNDED:
            return {NOTE(TENSOR_CORE) | NOTE(DOWN_CONVERT_INPUTS), 0};
        case UNORDERED:
            return {NOTE(TENSOR_CORE) | NOTE(NONDETERMINISTIC), 0};
        case TENSOR_CORE:
            return {NOTE(TENSOR_CORE), 0};
        case HALF_SUMS:
            return {NOTE(TENSOR_CORE) | NOTE(REDUCED_PRECISION_REDUCTION), 0};
        case FUSED:
            return {NOTE(TENSOR_CORE), 1u << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION};
        default:
            return {0, 0};
    }
}

static int64_t groups_of(const program &p) { return p.x.shape[1] / p.filter.shape[1]; }

bool can_serve(int64_t engine, const program &p) {
    const bool fused = !p.steps.empty();
    switch (engine) {
        case LAST_RESORT:
            return !fused;
        case PLAIN:
            return !fused && groups_of(p) == 1;
        case UNORDERED:
            return !fused && p.what != FORWARD;
        case TENSOR_CORE:
            return !fused && p.x.shape[1] % 8 == 0 && p.filter.shape[0] % 8 == 0;
        case ROUNDED:
        case HALF_SUMS:
            return !fused;
        case FUSED:
            return fused && p.what == FORWARD && p.x.shape[1] % 8 == 0 &&
                   p.filter.shape[0] % 8 == 0;
        case FUSED_PLAIN: {
            if (!fused || p.what != FORWARD || p.steps.size() > 2) return false;
            return p.steps[0].mode == CUDNN_POINTWISE_ADD && p.steps[0].b.shape[0] == 1 &&
                   p.steps[0].b.type == p.x.type &&
                   (p.steps.size() == 1 || p.steps[1].mode == CUDNN_POINTWISE_RELU_FWD);
        }
        default:
            return false;
    }
}

std::vector<int64_t> candidates(int mode, const program &p) {
    if (mode == CUDNN_HEUR_MODE_FALLBACK) {
        return p.steps.empty() ? std::vector<int64_t>{LAST_RESORT} : std::vector<int64_t>{};
    }
    if (!p.steps.empty()) {
        if (can_serve(FUSED_PLAIN, p)) return {FUSED, FUSED_PLAIN};
        return {FUSED};
    }
    std::vector<int64_t> all = {HALF_SUMS, ROUNDED, TENSOR_CORE};
    if (p.what != FORWARD) all.insert(all.begin() + 2, UNORDERED);
    if (mode == CUDNN_HEUR_MODE_B && groups_of(p) == 1) all.push_back(PLAIN);
    return all;
}

size_t workspace_of(int64_t engine, const program &p) {
    if (engine == PLAIN) return (size_t)p.filter.shape[0] * 16 + 8;
    if (engine == UNORDERED) return 4096;
    return engine == FUSED ? 131 : 0;
}

/* ---- Text ---- */

static void put(std::ostream &out, const tensor &t) {
    out << ' ' << t.uid << ' ' << t.alignment << ' ' << (int)t.type << ' ' << t.is_virtual;
    for (int d = 0; d < 4; d++) out << ' ' << t.shape[d] << ' ' << t.stride[d];
}

static void take(std::istream &in, tensor *t) {
    int type = 0;
    in >> t->uid >> t->alignment >> type >> t->is_virtual;
    t->type = (library::type)type;
    for (int d = 0; d < 4; d++) in >> t->shape[d] >> t->stride[d];
}

std::string to_text(int64_t engine, const program &p) {
    std::ostringstream out;
    out << "fake-plan " << engine << ' ' << (int)p.what;
    for (int i = 0; i < 2; i++) {
        out << ' ' << p.w.before[i] << ' ' << p.w.after[i] << ' ' << p.w.dilation[i] << ' '
            << p.w.stride[i];
    }
    put(out, p.x);
    put(out, p.filter);
    put(out, p.y);
    out << ' ' << p.steps.size();
    for (const step &s : p.steps) {
        out << ' ' << s.mode << ' ' << s.has_b << ' ' << s.keeps_nan;
        put(out, s.b);
        put(out, s.y);
    }
    out << " end";
    return out.str();
}

bool from_text(const std::string &text, int64_t *engine, program *p) {
    std::istringstream in(text);
    std::string word;
    int what = 0;
    size_t steps = 0;
    in >> word >> *engine >> what;
    if (word != "fake-plan") return false;
    p->what = (kind)what;
    for (int i = 0; i < 2; i++) {
        in >> p->w.before[i] >> p->w.after[i] >> p->w.dilation[i] >> p->w.stride[i];
    }
    take(in, &p->x);
    take(in, &p->filter);
    take(in, &p->y);
    in >> steps;
    if (!in || steps > 16) return false;
    p->steps.resize(steps);
    for (step &s : p->steps) {
        in >> s.mode >> s.has_b >> s.keeps_nan;
        take(in, &s.b);
        take(in, &s.y);
    }
    in >> word;
    return in && word == "end" && can_serve(*engine, *p);
}

/* ---- Computing ---- */

char *addresses::at(int64_t uid) const {
    for (size_t i = 0; i < uids.size(); i++) {
        if (uids[i] == uid) return pointers[i];
    }
    return nullptr;
}

size_t extent(const tensor &t) {
    int64_t last = 0;
    for (int d = 0; d < 4; d++) last += (t.shape[d] - 1) * t.stride[d];
    return (size_t)(last + 1) * library::size_of(t.type);
}

bool window_fits(const program &p) {
    for (int d = 0; d < 2; d++) {
        const int64_t reach = (p.filter.shape[2 + d] - 1) * p.w.dilation[d] + 1;
        const int64_t room = p.x.shape[2 + d] + p.w.before[d] + p.w.after[d] - reach;
        if (room < 0 || p.y.shape[2 + d] != room / p.w.stride[d] + 1) return false;
    }
    return p.x.shape[0] == p.y.shape[0] && p.filter.shape[0] == p.y.shape[1];
}

static int64_t place(const tensor &t, int64_t a, int64_t b, int64_t c, int64_t d) {
    return a * t.stride[0] + b * t.stride[1] + c * t.stride[2] + d * t.stride[3];
}

/* How an engine sees a factor, and how it keeps a sum. */
struct arithmetic {
    int64_t engine;
    library::type type;
    double factor(double exact) const {
        if (type != library::F32) return exact;
        const float v = static_cast<float>(exact);
        if (engine == ROUNDED) return __half2float(__float2half_rn(v));
        const bool tensor_core = facts_of(engine).numerical & NOTE(TENSOR_CORE);
        return tensor_core ? library::tf32(v) : v;
    }
    double sum(double v) const {
        if (engine == HALF_SUMS) return __half2float(__float2half_rn(static_cast<float>(v)));
        return library::kept(type, v);
    }
};

/* Calls f(n, oc, oh, ow, c, c in its group, row, column, i, j) for all that the convolution joins: y at
 * n, oc, oh, ow with x at n, c, row, column by the filter's element oc, c in group, i, j. */
template <class F>
static void walk(const program &p, F f) {
    const int64_t *x = p.x.shape, *y = p.y.shape, *k = p.filter.shape;
    const int64_t per_group = k[1], out_group = k[0] / (x[1] / k[1]);
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t oc = 0; oc < y[1]; oc++)
            for (int64_t oh = 0; oh < y[2]; oh++)
                for (int64_t ow = 0; ow < y[3]; ow++)
                    for (int64_t i = 0; i < k[2]; i++) {
                        const int64_t row =
                            oh * p.w.stride[0] - p.w.before[0] + i * p.w.dilation[0];
                        if (row < 0 || row >= x[2]) continue;
                        for (int64_t j = 0; j < k[3]; j++) {
                            const int64_t column =
                                ow * p.w.stride[1] - p.w.before[1] + j * p.w.dilation[1];
                            if (column < 0 || column >= x[3]) continue;
                            for (int64_t c = 0; c < per_group; c++) {
                                f(n, oc, oh, ow, oc / out_group * per_group + c, c, row, column, i,
                                  j);
                            }
                        }
                    }
}

/* The convolution into `sums`, one number per element of the result, which lies dense in logical order. */
static void convolve(int64_t engine, const program &p, const addresses &where,
                     std::vector<double> *sums) {
    const tensor &out = p.what == FORWARD ? p.y : p.what == DATA ? p.x : p.filter;
    const int64_t *s = out.shape;
    sums->assign((size_t)(s[0] * s[1] * s[2] * s[3]), 0.0);
    const char *x = where.at(p.x.uid), *w = where.at(p.filter.uid), *y = where.at(p.y.uid);
    const arithmetic a = {engine, p.x.type};
    walk(p, [&](int64_t n, int64_t oc, int64_t oh, int64_t ow, int64_t c, int64_t in_group,
                int64_t row, int64_t column, int64_t i, int64_t j) {
        double left, right;
        int64_t to;
        if (p.what == FORWARD) {
            left = library::get(p.x.type, x, place(p.x, n, c, row, column));
            right = library::get(p.filter.type, w, place(p.filter, oc, in_group, i, j));
            to = ((n * s[1] + oc) * s[2] + oh) * s[3] + ow;
        } else if (p.what == DATA) {
            left = library::get(p.y.type, y, place(p.y, n, oc, oh, ow));
            right = library::get(p.filter.type, w, place(p.filter, oc, in_group, i, j));
            to = ((n * s[1] + c) * s[2] + row) * s[3] + column;
        } else {
            left = library::get(p.y.type, y, place(p.y, n, oc, oh, ow));
            right = library::get(p.x.type, x, place(p.x, n, c, row, column));
            to = ((oc * s[1] + in_group) * s[2] + i) * s[3] + j;
        }
        double &sum = (*sums)[(size_t)to];
        sum = a.sum(sum + library::kept(p.x.type, a.factor(left) * a.factor(right)));
    });
}

/* Applies a step to every sum; t: the shape that all steps have. */
static void apply(const step &s, const addresses &where, const tensor &t,
                  std::vector<double> *sums) {
    const char *b = s.has_b ? where.at(s.b.uid) : nullptr;
    size_t at = 0;
    for (int64_t n = 0; n < t.shape[0]; n++)
        for (int64_t c = 0; c < t.shape[1]; c++)
            for (int64_t h = 0; h < t.shape[2]; h++)
                for (int64_t w = 0; w < t.shape[3]; w++, at++) {
                    double &v = (*sums)[at];
                    if (s.mode == CUDNN_POINTWISE_RELU_FWD) {
                        v = v > 0 || (s.keeps_nan && v != v) ? v : 0;
                        continue;
                    }
                    const int64_t *k = s.b.shape;
                    const double o = library::get(s.b.type, b,
                                                  place(s.b, k[0] > 1 ? n : 0, k[1] > 1 ? c : 0,
                                                        k[2] > 1 ? h : 0, k[3] > 1 ? w : 0));
                    v = library::kept(t.type, s.mode == CUDNN_POINTWISE_MUL ? v * o : v + o);
                }
}

static std::atomic<int64_t> cost{0};

int64_t cost_since_last() { return cost.exchange(0); }

void run(int64_t engine, const program &p, const addresses &where, void *workspace) {
    cost += engine == UNORDERED ? 3 : facts_of(engine).numerical & NOTE(TENSOR_CORE) ? 1 : 2;
    const size_t scratch = workspace_of(engine, p);
    if (scratch) std::memset(workspace, 0xff, scratch);
    std::vector<double> sums;
    convolve(engine, p, where, &sums);
    for (const step &s : p.steps) apply(s, where, p.y, &sums);
    const tensor &out = !p.steps.empty()    ? p.steps.back().y
                        : p.what == FORWARD ? p.y
                        : p.what == DATA    ? p.x
                                            : p.filter;
    char *to = where.at(out.uid);
    size_t at = 0;
    for (int64_t n = 0; n < out.shape[0]; n++)
        for (int64_t c = 0; c < out.shape[1]; c++)
            for (int64_t h = 0; h < out.shape[2]; h++)
                for (int64_t w = 0; w < out.shape[3]; w++) {
                    library::set(out.type, to, place(out, n, c, h, w), sums[at++]);
                }
}

}  // namespace fake_cudnn
