/* optimizer.cu: one step of sgd, adam or rmsprop over a list of parameters, in place. Options that
 * change from step to step are in `options`, apart from the rest. C: the type a step is computed in. */
#include "cuda/optimizer.cuh"

namespace mascon {
namespace {

/* A step without a sum. Options: what a replay changes. */
template <class Type, template <class> class Options>
struct plain_step {
    typedef Type C;
    typedef Options<Type> result;
    live<Options<double>> options;

    __device__ result start() const { return result(options.now()); }
    __device__ bool idle() const { return false; }
    __device__ void finish(const result &) const {}
    void advance(int64_t) {}
};

/* ---- sgd: parameter, gradient, momentum ---- */

template <class C>
struct sgd_options {
    C lr;
    int32_t first; /* the momenta hold nothing yet, perhaps not even numbers */

    template <class D>
    __device__ explicit operator sgd_options<D>() const {
        return {(D)lr, first};
    }
};

sgd_options<double> sgd_options_of(const mascon_call *call) {
    return {call->attr[NN_SGD_LR], call->attr[NN_SGD_FIRST] != 0};
}

template <class C>
struct sgd_step : plain_step<C, sgd_options> {
    C momentum, fresh, decay, sign; /* fresh: 1 - dampening */
    int momenta, nesterov;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(C (&v)[most_groups], sgd_options<C> &o) const {
        C g = sign * v[1];
        if (decay != 0) g += decay * v[0];
        if (momenta) {
            const C m = o.first ? g : momentum * v[2] + fresh * g;
            v[2] = m;
            g = nesterov ? g + momentum * m : m;
        }
        v[0] -= o.lr * g;
    }
};

int sgd_groups(const mascon_call *call) { return call->attr[NN_SGD_MOMENTUM] != 0 ? 3 : 2; }

mascon_status sgd(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    const auto make = [&](auto zero) {
        typedef decltype(zero) C;
        sgd_step<C> s = {};
        s.options = live_of(exec, sgd_options_of(call));
        s.momentum = (C)a[NN_SGD_MOMENTUM];
        s.fresh = (C)(1 - a[NN_SGD_DAMPENING]);
        s.decay = (C)a[NN_SGD_WEIGHT_DECAY];
        s.sign = a[NN_SGD_MAXIMIZE] != 0 ? -1 : 1;
        s.momenta = sgd_groups(call) == 3;
        s.nesterov = a[NN_SGD_NESTEROV] != 0;
        return s;
    };
    return run_list(call, sgd_groups(call), make, exec->stream);
}

/* ---- adam: parameter, gradient, mean, square, largest square ---- */

template <class C>
struct adam_options {
    C step, root, shrink; /* lr / correction 1; 1 / sqrt(correction 2); AdamW's factor */

    template <class D>
    __device__ explicit operator adam_options<D>() const {
        return {(D)step, (D)root, (D)shrink};
    }
};

adam_options<double> adam_options_of(const mascon_call *call) {
    const double *a = call->attr;
    const double lr = a[NN_ADAM_LR], steps = a[NN_ADAM_STEP];
    const int decoupled = a[NN_ADAM_DECOUPLED] != 0;
    return {lr / (1 - pow(a[NN_ADAM_BETA1], steps)), 1 / sqrt(1 - pow(a[NN_ADAM_BETA2], steps)),
            decoupled ? 1 - lr * a[NN_ADAM_WEIGHT_DECAY] : 1};
}

template <class C>
struct adam_step : plain_step<C, adam_options> {
    C beta2, mean_share, square_share; /* shares of the new gradient: 1 - beta */
    C eps, sign, decay;                /* decay: added to the gradient */
    int amsgrad;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(C (&v)[most_groups], adam_options<C> &o) const {
        const C w = v[0] * o.shrink;
        const C g = decay != 0 ? sign * v[1] + decay * w : sign * v[1];
        const C m = v[2] + mean_share * (g - v[2]);
        const C q = v[3] * beta2 + square_share * g * g;
        C top = q;
        if (amsgrad) {
            top = v[4] < q || q != q ? q : v[4];
            if (v[4] != v[4]) top = v[4]; /* NaN stays */
            v[4] = top;
        }
        v[2] = m;
        v[3] = q;
        v[0] = w - o.step * m / (sqrt(top) * o.root + eps);
    }
};

int adam_groups(const mascon_call *call) { return call->attr[NN_ADAM_AMSGRAD] != 0 ? 5 : 4; }

mascon_status adam(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    const auto make = [&](auto zero) {
        typedef decltype(zero) C;
        adam_step<C> s = {};
        s.options = live_of(exec, adam_options_of(call));
        s.beta2 = (C)a[NN_ADAM_BETA2];
        s.mean_share = (C)(1 - a[NN_ADAM_BETA1]);
        s.square_share = (C)(1 - a[NN_ADAM_BETA2]);
        s.eps = (C)a[NN_ADAM_EPS];
        s.sign = a[NN_ADAM_MAXIMIZE] != 0 ? -1 : 1;
        s.decay = a[NN_ADAM_DECOUPLED] != 0 ? 0 : (C)a[NN_ADAM_WEIGHT_DECAY];
        s.amsgrad = adam_groups(call) == 5;
        return s;
    };
    return run_list(call, adam_groups(call), make, exec->stream);
}

/* ---- rmsprop: parameter, gradient, square, then mean gradient and momentum where they are used ---- */

template <class C>
struct rmsprop_options {
    C lr;

    template <class D>
    __device__ explicit operator rmsprop_options<D>() const {
        return {(D)lr};
    }
};

rmsprop_options<double> rmsprop_options_of(const mascon_call *call) {
    return {call->attr[NN_RMSPROP_LR]};
}

template <class C>
struct rmsprop_step : plain_step<C, rmsprop_options> {
    C alpha, fresh, eps, sign, decay, momentum; /* fresh: 1 - alpha */
    int centered, momenta;

    __device__ bool writes(int g) const { return g != 1; }
    __device__ void element(C (&v)[most_groups], rmsprop_options<C> &o) const {
        const C g = decay != 0 ? sign * v[1] + decay * v[0] : sign * v[1];
        C spread = v[2] * alpha + fresh * g * g;
        v[2] = spread;
        if (centered) {
            const C m = v[3] + fresh * (g - v[3]);
            v[3] = m;
            spread -= m * m;
            if (spread < 0) spread = 0; /* by rounding, where all gradients were equal */
        }
        C d = g / (sqrt(spread) + eps);
        if (momenta) {
            d += momentum * (centered ? v[4] : v[3]);
            (centered ? v[4] : v[3]) = d;
        }
        v[0] -= o.lr * d;
    }
};

int rmsprop_groups(const mascon_call *call) {
    return 3 + (call->attr[NN_RMSPROP_CENTERED] != 0) + (call->attr[NN_RMSPROP_MOMENTUM] != 0);
}

mascon_status rmsprop(mascon_call *call, mascon_exec *exec) {
    const double *a = call->attr;
    const auto make = [&](auto zero) {
        typedef decltype(zero) C;
        rmsprop_step<C> s = {};
        s.options = live_of(exec, rmsprop_options_of(call));
        s.alpha = (C)a[NN_RMSPROP_ALPHA];
        s.fresh = (C)(1 - a[NN_RMSPROP_ALPHA]);
        s.eps = (C)a[NN_RMSPROP_EPS];
        s.sign = a[NN_RMSPROP_MAXIMIZE] != 0 ? -1 : 1;
        s.decay = (C)a[NN_RMSPROP_WEIGHT_DECAY];
        s.momentum = (C)a[NN_RMSPROP_MOMENTUM];
        s.centered = a[NN_RMSPROP_CENTERED] != 0;
        s.momenta = a[NN_RMSPROP_MOMENTUM] != 0;
        return s;
    };
    return run_list(call, rmsprop_groups(call), make, exec->stream);
}

/* ---- clip_grad_norm ---- */

enum { P_TWO, P_ONE, P_LARGEST, P_OTHER };

/* What both passes know; total: what the gradients are multiplied by, on the device. */
struct clip_options {
    int kind;
    double p;
    live<double> max_norm;
    double *total;
};

double max_norm_of(const mascon_call *call) { return call->attr[NN_CLIP_MAX_NORM]; }

__device__ inline double join_powers(int kind, double a, double b) {
    if (kind != P_LARGEST) return a + b;
    if (a != a) return a;
    return b != b || b > a ? b : a;
}

/* The first pass: sums of powers, one for each block. */
template <class Type>
struct norm_step {
    typedef Type C;
    struct result {
        C sum;
    };
    clip_options o;
    C p;
    double *partial; /* of this launch's first block */

    __device__ result start() const { return {0}; }
    __device__ bool idle() const { return false; }
    __device__ bool writes(int) const { return false; }
    __device__ void element(C (&v)[most_groups], result &r) const {
        const C x = fabs(v[0]);
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
                r.sum += pow(x, p);
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

/* The norm of the partial sums; norm 0-dimensional. */
template <class C>
__global__ void join_norm(const double *partial, int64_t n, column norm, clip_options o) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += step_threads) {
        sum = join_powers(o.kind, sum, partial[i]);
    }
    sum = group_reduce(sum, step_threads,
                       [&o](double a, double b) { return join_powers(o.kind, a, b); });
    if (threadIdx.x != 0) return;
    const double length = o.kind == P_TWO ? sqrt(sum) : o.kind == P_OTHER ? pow(sum, 1 / o.p) : sum;
    column_set<C>(norm, 0, (C)length);
    const double most = o.max_norm.now();
    o.total[0] = isinf(most) ? 1 : most / (length + 1e-6); /* even where the norm is NaN */
}

/* The second pass. A norm of NaN goes on into all gradients. */
template <class Type>
struct scale_step {
    typedef Type C;
    struct result {
        C factor;
    };
    clip_options o;

    __device__ result start() const { return {(C)o.total[0]}; }
    __device__ bool idle() const { return o.total[0] >= 1; }
    __device__ bool writes(int) const { return true; }
    __device__ void element(C (&v)[most_groups], result &r) const { v[0] *= r.factor; }
    __device__ void finish(const result &) const {}
    void advance(int64_t) {}
};

size_t clip_workspace(const mascon_call *call) {
    return sizeof(double) * (size_t)(1 + list_chunks(call, 1));
}

mascon_status clip(mascon_call *call, mascon_exec *exec) {
    const double p = call->attr[NN_CLIP_NORM_TYPE];
    const mascon_view *norm = DST(call, 0);
    clip_options o = {P_OTHER, p, live_of(exec, max_norm_of(call)), (double *)exec->workspace};
    if (p == 1 || p == 2) o.kind = p == 2 ? P_TWO : P_ONE;
    if (isinf(p)) o.kind = P_LARGEST;
    const auto sums = [&](auto zero) {
        typedef decltype(zero) C;
        return norm_step<C>{o, (C)p, o.total + 1};
    };
    MASCON_TRY(run_list(call, 1, sums, exec->stream));
    const column to = {norm->data, 1, norm->dtype};
    const auto join = norm->dtype == MASCON_DTYPE_F64 ? join_norm<double> : join_norm<float>;
    MASCON_TRY(launch(join, dim3(1), dim3(step_threads), 0, exec->stream,
                      (const double *)o.total + 1, list_chunks(call, 1), to, o));
    if (!exec->live && isinf(max_norm_of(call))) return MASCON_OK;
    const auto scale = [&](auto zero) { return scale_step<decltype(zero)>{o}; };
    return run_list(call, 1, scale, exec->stream);
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL_LIVE(sgd, NULL, NULL, sgd, sgd_options_of);
MASCON_KERNEL_LIVE(adam, NULL, NULL, adam, adam_options_of);
MASCON_KERNEL_LIVE(rmsprop, NULL, NULL, rmsprop, rmsprop_options_of);
MASCON_KERNEL_LIVE(clip_grad_norm, NULL, clip_workspace, clip, max_norm_of);
