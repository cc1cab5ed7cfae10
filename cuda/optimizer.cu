/* optimizer.cu: one step of sgd, adam or rmsprop over a list of parameters, in place. Options that
 * change from step to step are in `live`, apart from the rest. */
#include "cuda/optimizer.cuh"

namespace mascon {
namespace {

/* A step without a sum. */
struct plain_step {
    struct result {};
    __device__ result start() const { return {}; }
    __device__ bool idle() const { return false; }
    __device__ void finish(const result &) const {}
    void advance(int64_t) {}
};

/* ---- sgd: parameter, gradient, momentum ---- */

struct sgd_step : plain_step {
    struct {
        float lr;
    } live;
    float momentum, fresh, decay, sign; /* fresh: 1 - dampening */
    int momenta, nesterov, first;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(float (&v)[most_groups], result &) const {
        float g = sign * v[1];
        if (decay != 0) g += decay * v[0];
        if (momenta) { /* at first the momenta hold nothing yet, perhaps not even numbers */
            const float m = first ? g : momentum * v[2] + fresh * g;
            v[2] = m;
            g = nesterov ? g + momentum * m : m;
        }
        v[0] -= live.lr * g;
    }
};

int sgd_groups(const mascon_call *call) { return call->attr[NN_SGD_MOMENTUM] != 0 ? 3 : 2; }

mascon_status sgd(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    sgd_step s = {};
    s.live.lr = (float)a[NN_SGD_LR];
    s.momentum = (float)a[NN_SGD_MOMENTUM];
    s.fresh = (float)(1 - a[NN_SGD_DAMPENING]);
    s.decay = (float)a[NN_SGD_WEIGHT_DECAY];
    s.sign = a[NN_SGD_MAXIMIZE] != 0 ? -1.0f : 1.0f;
    s.momenta = sgd_groups(call) == 3;
    s.nesterov = a[NN_SGD_NESTEROV] != 0;
    s.first = a[NN_SGD_FIRST] != 0;
    return run_list(call, sgd_groups(call), s, exec->stream);
}

/* ---- adam: parameter, gradient, mean, square, largest square ---- */

struct adam_step : plain_step {
    struct {
        float step, root, shrink; /* lr / correction 1; 1 / sqrt(correction 2); AdamW's factor */
    } live;
    float beta2, mean_share, square_share; /* shares of the new gradient: 1 - beta */
    float eps, sign, decay;                /* decay: added to the gradient */
    int amsgrad;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(float (&v)[most_groups], result &) const {
        const float w = v[0] * live.shrink;
        const float g = decay != 0 ? sign * v[1] + decay * w : sign * v[1];
        const float m = v[2] + mean_share * (g - v[2]);
        const float q = v[3] * beta2 + square_share * g * g;
        float top = q;
        if (amsgrad) {
            top = v[4] < q || q != q ? q : v[4];
            if (v[4] != v[4]) top = v[4]; /* NaN stays */
            v[4] = top;
        }
        v[2] = m;
        v[3] = q;
        v[0] = w - live.step * m / (sqrtf(top) * live.root + eps);
    }
};

int adam_groups(const mascon_call *call) { return call->attr[NN_ADAM_AMSGRAD] != 0 ? 5 : 4; }

mascon_status adam(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    const double beta1 = a[NN_ADAM_BETA1], beta2 = a[NN_ADAM_BETA2], steps = a[NN_ADAM_STEP];
    const int decoupled = a[NN_ADAM_DECOUPLED] != 0;
    adam_step s = {};
    s.live.step = (float)(a[NN_ADAM_LR] / (1 - pow(beta1, steps)));
    s.live.root = (float)(1 / sqrt(1 - pow(beta2, steps)));
    s.live.shrink = decoupled ? (float)(1 - a[NN_ADAM_LR] * a[NN_ADAM_WEIGHT_DECAY]) : 1;
    s.beta2 = (float)beta2;
    s.mean_share = (float)(1 - beta1);
    s.square_share = (float)(1 - beta2);
    s.eps = (float)a[NN_ADAM_EPS];
    s.sign = a[NN_ADAM_MAXIMIZE] != 0 ? -1.0f : 1.0f;
    s.decay = decoupled ? 0 : (float)a[NN_ADAM_WEIGHT_DECAY];
    s.amsgrad = adam_groups(call) == 5;
    return run_list(call, adam_groups(call), s, exec->stream);
}

/* ---- rmsprop: parameter, gradient, square, then mean gradient and momentum where they are used ---- */

struct rmsprop_step : plain_step {
    struct {
        float lr;
    } live;
    float alpha, fresh, eps, sign, decay, momentum; /* fresh: 1 - alpha */
    int centered, momenta;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(float (&v)[most_groups], result &) const {
        const float g = decay != 0 ? sign * v[1] + decay * v[0] : sign * v[1];
        float spread = v[2] * alpha + fresh * g * g;
        v[2] = spread;
        if (centered) {
            const float m = v[3] + fresh * (g - v[3]);
            v[3] = m;
            spread -= m * m;
            if (spread < 0) spread = 0; /* by rounding, where all gradients were equal */
        }
        float d = g / (sqrtf(spread) + eps);
        if (momenta) {
            d += momentum * (centered ? v[4] : v[3]);
            (centered ? v[4] : v[3]) = d;
        }
        v[0] -= live.lr * d;
    }
};

int rmsprop_groups(const mascon_call *call) {
    return 3 + (call->attr[NN_RMSPROP_CENTERED] != 0) + (call->attr[NN_RMSPROP_MOMENTUM] != 0);
}

mascon_status rmsprop(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    rmsprop_step s = {};
    s.live.lr = (float)a[NN_RMSPROP_LR];
    s.alpha = (float)a[NN_RMSPROP_ALPHA];
    s.fresh = (float)(1 - a[NN_RMSPROP_ALPHA]);
    s.eps = (float)a[NN_RMSPROP_EPS];
    s.sign = a[NN_RMSPROP_MAXIMIZE] != 0 ? -1.0f : 1.0f;
    s.decay = (float)a[NN_RMSPROP_WEIGHT_DECAY];
    s.momentum = (float)a[NN_RMSPROP_MOMENTUM];
    s.centered = a[NN_RMSPROP_CENTERED] != 0;
    s.momenta = a[NN_RMSPROP_MOMENTUM] != 0;
    return run_list(call, rmsprop_groups(call), s, exec->stream);
}

int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return list_fits(call);
}

/* ---- clip_grad_norm ---- */

enum { P_TWO, P_ONE, P_LARGEST, P_OTHER };

/* What both passes know; total: {norm, what the gradients are multiplied by} on the device. */
struct clip_options {
    int kind;
    float p, max_norm;
    double *total;
};

__device__ inline double join_powers(int kind, double a, double b) {
    if (kind != P_LARGEST) return a + b;
    if (a != a) return a;
    return b != b || b > a ? b : a;
}

/* The first pass: sums of powers, one for each block. */
struct norm_step {
    struct result {
        float sum;
    };
    clip_options o;
    double *partial; /* of this launch's first block */

    __device__ result start() const { return {0}; }
    __device__ bool idle() const { return false; }
    __device__ bool writes(int) const { return false; }
    __device__ void element(float (&v)[most_groups], result &r) const {
        const float x = fabsf(v[0]);
        switch (o.kind) {
            case P_TWO:
                r.sum += x * x;
                break;
            case P_ONE:
                r.sum += x;
                break;
            case P_LARGEST:
                if (x > r.sum || x != x) r.sum = x;
                break;
            default:
                r.sum += powf(x, o.p);
                break;
        }
    }
    __device__ void finish(const result &r) const {
        const int kind = o.kind;
        const double sum = group_reduce((double)r.sum, step_threads, [kind](double a, double b) {
            return join_powers(kind, a, b);
        });
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    }
    void advance(int64_t blocks) { partial += blocks; }
};

/* The norm of the partial sums; norm 0-dimensional, of the gradients' dtype. */
__global__ void join_norm(const double *partial, int64_t n, column norm, clip_options o) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += step_threads) {
        sum = join_powers(o.kind, sum, partial[i]);
    }
    sum = group_reduce(sum, step_threads,
                       [&o](double a, double b) { return join_powers(o.kind, a, b); });
    if (threadIdx.x != 0) return;
    const double length = o.kind == P_TWO     ? sqrt(sum)
                          : o.kind == P_OTHER ? pow(sum, 1 / (double)o.p)
                                              : sum;
    column_set(norm, 0, (float)length);
    o.total[0] = (double)o.max_norm / (length + 1e-6);
}

/* The second pass. A norm of NaN goes on into all gradients. */
struct scale_step {
    struct result {
        float factor;
    };
    clip_options o;

    __device__ result start() const { return {(float)o.total[0]}; }
    __device__ bool idle() const { return o.total[0] >= 1; }
    __device__ bool writes(int) const { return true; }
    __device__ void element(float (&v)[most_groups], result &r) const { v[0] *= r.factor; }
    __device__ void finish(const result &) const {}
    void advance(int64_t) {}
};

size_t clip_workspace(const mascon_call *call) {
    return sizeof(double) * (size_t)(1 + list_chunks(call, 1));
}

mascon_status clip(mascon_call *call, mascon_exec *exec) {
    const double p = call->attr[NN_CLIP_NORM_TYPE], most = call->attr[NN_CLIP_MAX_NORM];
    const mascon_view *norm = DST(call, 0);
    clip_options o = {P_OTHER, (float)p, (float)most, (double *)exec->workspace};
    if (p == 1 || p == 2) o.kind = p == 2 ? P_TWO : P_ONE;
    if (isinf(p)) o.kind = P_LARGEST;
    const norm_step sums = {o, o.total + 1};
    MASCON_TRY(run_list(call, 1, sums, exec->stream));
    const column to = {norm->data, 1, norm->dtype};
    MASCON_TRY(launch(join_norm, dim3(1), dim3(step_threads), 0, exec->stream, sums.partial,
                      list_chunks(call, 1), to, o));
    if (isinf(most)) return MASCON_OK;
    const scale_step scale = {o};
    return run_list(call, 1, scale, exec->stream);
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(sgd, wish, NULL, sgd);
MASCON_KERNEL(adam, wish, NULL, adam);
MASCON_KERNEL(rmsprop, wish, NULL, rmsprop);
MASCON_KERNEL(clip_grad_norm, wish, clip_workspace, clip);
