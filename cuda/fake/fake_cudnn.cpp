/* fake_cudnn.cpp: the descriptors of cuDNN's backend API on the fake device.
 *
 * The rules of the real library are kept as far as callers can break them: attributes have a type and a
 * number of values, are set before finalising and read after it, required ones must be there, only
 * finalised descriptors may be given to others, a graph is closed only when its tensors connect and its
 * shapes agree, and a plan runs only with all its tensors, aligned as was promised and within device
 * memory. A finalised descriptor keeps what it refers to, so parts may be destroyed at once.
 */
#include <cudnn.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "cuda/fake/fake_cudnn.h"

namespace {

using namespace fake_cudnn;

/* ---- Descriptors ---- */

struct content;
typedef std::shared_ptr<content> shared;

struct value {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::string bytes;
    std::vector<shared> children;
};

struct content {
    cudnnBackendDescriptorType_t type;
    bool finalized = false;
    std::map<int, value> values;
    /* of an operation graph, and of what is made from it */
    program compiled;
    int64_t engine = 0;
    std::atomic<bool> destroyed{false};
};

struct descriptor {
    shared own;
};

struct context {
    cudaStream_t stream = nullptr;
    int device = 0;
};

std::mutex lock;
std::set<void *> descriptors, contexts;

struct rule {
    cudnnBackendDescriptorType_t owner;
    int name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    bool required;
};

#define D(name) CUDNN_BACKEND_##name##_DESCRIPTOR
#define A(name) CUDNN_ATTR_##name
#define T(name) CUDNN_TYPE_##name
enum { GRAPH_HANDLE = 800, PLAN_HANDLE = 400, MANY = 64, LONG = 1 << 26 };

const rule rules[] = {
    {D(TENSOR), A(TENSOR_DATA_TYPE), T(DATA_TYPE), 1, 1, true},
    {D(TENSOR), A(TENSOR_DIMENSIONS), T(INT64), 4, 4, true},
    {D(TENSOR), A(TENSOR_STRIDES), T(INT64), 4, 4, true},
    {D(TENSOR), A(TENSOR_UNIQUE_ID), T(INT64), 1, 1, true},
    {D(TENSOR), A(TENSOR_BYTE_ALIGNMENT), T(INT64), 1, 1, true},
    {D(TENSOR), A(TENSOR_IS_VIRTUAL), T(BOOLEAN), 1, 1, false},
    {D(CONVOLUTION), A(CONVOLUTION_COMP_TYPE), T(DATA_TYPE), 1, 1, true},
    {D(CONVOLUTION), A(CONVOLUTION_CONV_MODE), T(CONVOLUTION_MODE), 1, 1, true},
    {D(CONVOLUTION), A(CONVOLUTION_SPATIAL_DIMS), T(INT64), 1, 1, true},
    {D(CONVOLUTION), A(CONVOLUTION_PRE_PADDINGS), T(INT64), 2, 2, true},
    {D(CONVOLUTION), A(CONVOLUTION_POST_PADDINGS), T(INT64), 2, 2, true},
    {D(CONVOLUTION), A(CONVOLUTION_DILATIONS), T(INT64), 2, 2, true},
    {D(CONVOLUTION), A(CONVOLUTION_FILTER_STRIDES), T(INT64), 2, 2, true},
    {D(POINTWISE), A(POINTWISE_MODE), T(POINTWISE_MODE), 1, 1, true},
    {D(POINTWISE), A(POINTWISE_MATH_PREC), T(DATA_TYPE), 1, 1, true},
    {D(POINTWISE), A(POINTWISE_NAN_PROPAGATION), T(NAN_PROPOGATION), 1, 1, false},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_PW_DESCRIPTOR), T(BACKEND_DESCRIPTOR), 1, 1,
     true},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_XDESC), T(BACKEND_DESCRIPTOR), 1, 1, true},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_BDESC), T(BACKEND_DESCRIPTOR), 1, 1, false},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_YDESC), T(BACKEND_DESCRIPTOR), 1, 1, true},
#define CONVOLUTION_RULES(owner, prefix, X, W, Y)                         \
    {D(owner), A(prefix##_CONV_DESC), T(BACKEND_DESCRIPTOR), 1, 1, true}, \
        {D(owner), A(prefix##_##X), T(BACKEND_DESCRIPTOR), 1, 1, true},   \
        {D(owner), A(prefix##_##W), T(BACKEND_DESCRIPTOR), 1, 1, true},   \
        {D(owner), A(prefix##_##Y), T(BACKEND_DESCRIPTOR), 1, 1, true},   \
        {D(owner), A(prefix##_ALPHA), T(FLOAT), 1, 1, false}, {           \
        D(owner), A(prefix##_BETA), T(FLOAT), 1, 1, false                 \
    }
    CONVOLUTION_RULES(OPERATION_CONVOLUTION_FORWARD, OPERATION_CONVOLUTION_FORWARD, X, W, Y),
    CONVOLUTION_RULES(OPERATION_CONVOLUTION_BACKWARD_DATA, OPERATION_CONVOLUTION_BWD_DATA, DX, W,
                      DY),
    CONVOLUTION_RULES(OPERATION_CONVOLUTION_BACKWARD_FILTER, OPERATION_CONVOLUTION_BWD_FILTER, X,
                      DW, DY),
    {D(OPERATIONGRAPH), A(OPERATIONGRAPH_OPS), T(BACKEND_DESCRIPTOR), 1, MANY, true},
    {D(OPERATIONGRAPH), GRAPH_HANDLE, T(HANDLE), 1, 1, true},
    {D(ENGINEHEUR), A(ENGINEHEUR_OPERATION_GRAPH), T(BACKEND_DESCRIPTOR), 1, 1, true},
    {D(ENGINEHEUR), A(ENGINEHEUR_MODE), T(HEUR_MODE), 1, 1, true},
    {D(EXECUTION_PLAN), PLAN_HANDLE, T(HANDLE), 1, 1, true},
    {D(EXECUTION_PLAN), A(EXECUTION_PLAN_ENGINE_CONFIG), T(BACKEND_DESCRIPTOR), 1, 1, false},
    {D(EXECUTION_PLAN), A(EXECUTION_PLAN_JSON_REPRESENTATION), T(CHAR), 1, LONG, false},
    {D(VARIANT_PACK), A(VARIANT_PACK_UNIQUE_IDS), T(INT64), 1, MANY, true},
    {D(VARIANT_PACK), A(VARIANT_PACK_DATA_POINTERS), T(VOID_PTR), 1, MANY, true},
    {D(VARIANT_PACK), A(VARIANT_PACK_WORKSPACE), T(VOID_PTR), 1, 1, false},
};

size_t size_of(cudnnBackendAttributeType_t type) {
    switch (type) {
        case T(BOOLEAN):
        case T(CHAR):
            return 1;
        case T(DATA_TYPE):
        case T(CONVOLUTION_MODE):
        case T(POINTWISE_MODE):
        case T(HEUR_MODE):
        case T(NAN_PROPOGATION):
        case T(NUMERICAL_NOTE):
        case T(BEHAVIOR_NOTE):
        case T(FLOAT):
            return 4;
        default:
            return 8;
    }
}

#define ENTER(name)                                                     \
    std::lock_guard<std::mutex> guard_(lock);                           \
    do {                                                                \
        int32_t error_;                                                 \
        if (fake_injected(name, &error_)) return (cudnnStatus_t)error_; \
    } while (0)
#define REFUSE_IF(condition, status)  \
    do {                              \
        if (condition) return status; \
    } while (0)

shared content_of(cudnnBackendDescriptor_t d) {
    return descriptors.count(d) ? static_cast<descriptor *>(d)->own : nullptr;
}

const value *find(const shared &c, int name) {
    auto found = c->values.find(name);
    return found == c->values.end() ? nullptr : &found->second;
}

template <class V>
V get(const shared &c, int name, int i = 0) {
    V out = V();
    const value *v = find(c, name);
    if (v) std::memcpy(&out, v->bytes.data() + (size_t)i * sizeof out, sizeof out);
    return out;
}

shared child(const shared &c, int name, size_t i = 0) {
    const value *v = find(c, name);
    return v && i < v->children.size() ? v->children[i] : nullptr;
}

/* ---- Finalising ---- */

cudnnStatus_t check_tensor(const shared &c) {
    const int type = get<int32_t>(c, A(TENSOR_DATA_TYPE));
    REFUSE_IF(type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16 &&
                  type != CUDNN_DATA_DOUBLE,
              CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
    for (int d = 0; d < 4; d++) {
        REFUSE_IF(get<int64_t>(c, A(TENSOR_DIMENSIONS), d) < 1, CUDNN_STATUS_BAD_PARAM);
        REFUSE_IF(get<int64_t>(c, A(TENSOR_STRIDES), d) < 1, CUDNN_STATUS_BAD_PARAM);
    }
    const int64_t align = get<int64_t>(c, A(TENSOR_BYTE_ALIGNMENT));
    REFUSE_IF(align < 1 || (align & (align - 1)), CUDNN_STATUS_BAD_PARAM);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_window(const shared &c) {
    REFUSE_IF(get<int64_t>(c, A(CONVOLUTION_SPATIAL_DIMS)) != 2, CUDNN_STATUS_BAD_PARAM);
    for (int d = 0; d < 2; d++) {
        REFUSE_IF(get<int64_t>(c, A(CONVOLUTION_DILATIONS), d) < 1, CUDNN_STATUS_BAD_PARAM);
        REFUSE_IF(get<int64_t>(c, A(CONVOLUTION_FILTER_STRIDES), d) < 1, CUDNN_STATUS_BAD_PARAM);
        REFUSE_IF(get<int64_t>(c, A(CONVOLUTION_PRE_PADDINGS), d) < 0 ||
                      get<int64_t>(c, A(CONVOLUTION_POST_PADDINGS), d) < 0,
                  CUDNN_STATUS_BAD_PARAM);
    }
    const int32_t sums = get<int32_t>(c, A(CONVOLUTION_COMP_TYPE));
    const bool good = (sums == CUDNN_DATA_FLOAT || sums == CUDNN_DATA_DOUBLE) &&
                      get<int32_t>(c, A(CONVOLUTION_CONV_MODE)) == CUDNN_CROSS_CORRELATION;
    return good ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

tensor tensor_of(const shared &c) {
    tensor t;
    t.uid = get<int64_t>(c, A(TENSOR_UNIQUE_ID));
    t.alignment = get<int64_t>(c, A(TENSOR_BYTE_ALIGNMENT));
    t.is_virtual = get<bool>(c, A(TENSOR_IS_VIRTUAL));
    const int type = get<int32_t>(c, A(TENSOR_DATA_TYPE));
    t.type = type == CUDNN_DATA_HALF       ? library::F16
             : type == CUDNN_DATA_BFLOAT16 ? library::BF16
             : type == CUDNN_DATA_DOUBLE   ? library::F64
                                           : library::F32;
    for (int d = 0; d < 4; d++) {
        t.shape[d] = get<int64_t>(c, A(TENSOR_DIMENSIONS), d);
        t.stride[d] = get<int64_t>(c, A(TENSOR_STRIDES), d);
    }
    return t;
}

bool same_shape(const tensor &a, const tensor &b) {
    return std::memcmp(a.shape, b.shape, sizeof a.shape) == 0;
}

/* Whether a factor of a convolution was not set, or is v in the type of the sums. */
bool is_factor(const shared &op, int name, bool wide, double v) {
    const value *given = find(op, name);
    if (!given) return true;
    if ((given->type == T(DOUBLE)) != wide) return false;
    return (wide ? get<double>(op, name) : (double)get<float>(op, name)) == v;
}

/* The convolution that begins a graph. */
cudnnStatus_t read_convolution(const shared &op, program *p) {
    static const struct {
        cudnnBackendDescriptorType_t type;
        kind what;
        int window, x, w, y, alpha, beta;
    } forms[] = {
        {D(OPERATION_CONVOLUTION_FORWARD), FORWARD, 702, 704, 703, 705, 700, 701},
        {D(OPERATION_CONVOLUTION_BACKWARD_DATA), DATA, 708, 710, 709, 711, 706, 707},
        {D(OPERATION_CONVOLUTION_BACKWARD_FILTER), WEIGHT, 714, 716, 715, 717, 712, 713},
    };
    for (const auto &form : forms) {
        if (form.type != op->type) continue;
        p->what = form.what;
        const shared window = child(op, form.window);
        REFUSE_IF(window->type != D(CONVOLUTION), CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
        for (int d = 0; d < 2; d++) {
            p->w.before[d] = get<int64_t>(window, A(CONVOLUTION_PRE_PADDINGS), d);
            p->w.after[d] = get<int64_t>(window, A(CONVOLUTION_POST_PADDINGS), d);
            p->w.dilation[d] = get<int64_t>(window, A(CONVOLUTION_DILATIONS), d);
            p->w.stride[d] = get<int64_t>(window, A(CONVOLUTION_FILTER_STRIDES), d);
        }
        const shared parts[] = {child(op, form.x), child(op, form.w), child(op, form.y)};
        for (const shared &part : parts) {
            REFUSE_IF(part->type != D(TENSOR), CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
        }
        p->x = tensor_of(parts[0]);
        p->filter = tensor_of(parts[1]);
        p->y = tensor_of(parts[2]);
        const bool wide = get<int32_t>(window, A(CONVOLUTION_COMP_TYPE)) == CUDNN_DATA_DOUBLE;
        REFUSE_IF(wide != (p->x.type == library::F64), CUDNN_STATUS_NOT_SUPPORTED);
        REFUSE_IF(!is_factor(op, form.alpha, wide, 1) || !is_factor(op, form.beta, wide, 0),
                  CUDNN_STATUS_NOT_SUPPORTED);
        return CUDNN_STATUS_SUCCESS;
    }
    return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
}

cudnnStatus_t read_step(const shared &op, const tensor &before, step *s) {
    REFUSE_IF(op->type != D(OPERATION_POINTWISE), CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    const tensor x = tensor_of(child(op, A(OPERATION_POINTWISE_XDESC)));
    REFUSE_IF(!before.is_virtual || x.uid != before.uid, CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    const shared function = child(op, A(OPERATION_POINTWISE_PW_DESCRIPTOR));
    s->mode = get<int32_t>(function, A(POINTWISE_MODE));
    s->keeps_nan = get<int32_t>(function, A(POINTWISE_NAN_PROPAGATION)) == CUDNN_PROPAGATE_NAN;
    s->y = tensor_of(child(op, A(OPERATION_POINTWISE_YDESC)));
    REFUSE_IF(!same_shape(x, s->y), CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    s->has_b = find(op, A(OPERATION_POINTWISE_BDESC)) != nullptr;
    const bool binary = s->mode == CUDNN_POINTWISE_ADD || s->mode == CUDNN_POINTWISE_MUL;
    REFUSE_IF(!binary && s->mode != CUDNN_POINTWISE_RELU_FWD, CUDNN_STATUS_NOT_SUPPORTED);
    REFUSE_IF(binary != s->has_b, CUDNN_STATUS_BAD_PARAM);
    if (!s->has_b) return CUDNN_STATUS_SUCCESS;
    s->b = tensor_of(child(op, A(OPERATION_POINTWISE_BDESC)));
    REFUSE_IF(s->b.is_virtual, CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    for (int d = 0; d < 4; d++) {
        REFUSE_IF(s->b.shape[d] != 1 && s->b.shape[d] != x.shape[d],
                  CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    }
    return CUDNN_STATUS_SUCCESS;
}

/* Tensors of one number must be one tensor, of different numbers different. */
cudnnStatus_t check_numbers(const program &p) {
    std::set<int64_t> seen;
    auto fresh = [&](const tensor &t) { return seen.insert(t.uid).second; };
    bool good = fresh(p.x) && fresh(p.filter) && fresh(p.y);
    for (const step &s : p.steps) good = good && (!s.has_b || fresh(s.b)) && fresh(s.y);
    return good ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES;
}

cudnnStatus_t close_graph(const shared &c) {
    const value *ops = find(c, A(OPERATIONGRAPH_OPS));
    program p;
    cudnnStatus_t status = read_convolution(ops->children[0], &p);
    REFUSE_IF(status != CUDNN_STATUS_SUCCESS, status);
    REFUSE_IF(p.x.is_virtual || p.filter.is_virtual, CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    REFUSE_IF(p.x.shape[1] % p.filter.shape[1] || !window_fits(p),
              CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    const int64_t groups = p.x.shape[1] / p.filter.shape[1];
    REFUSE_IF(p.filter.shape[0] % groups, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    REFUSE_IF(p.x.type != p.filter.type || (!p.y.is_virtual && p.y.type != p.x.type),
              CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
    const tensor *last = &p.y;
    p.steps.resize(ops->children.size() - 1);
    for (size_t i = 0; i < p.steps.size(); i++) {
        status = read_step(ops->children[i + 1], *last, &p.steps[i]);
        REFUSE_IF(status != CUDNN_STATUS_SUCCESS, status);
        last = &p.steps[i].y;
    }
    REFUSE_IF(last->is_virtual, CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    status = check_numbers(p);
    if (status == CUDNN_STATUS_SUCCESS) c->compiled = p;
    return status;
}

cudnnStatus_t close_plan(const shared &c) {
    REFUSE_IF(!contexts.count(get<void *>(c, PLAN_HANDLE)), CUDNN_STATUS_BAD_PARAM);
    const value *text = find(c, A(EXECUTION_PLAN_JSON_REPRESENTATION));
    if (text) {
        const bool good = from_text(text->bytes, &c->engine, &c->compiled);
        if (good) library::count("plan_from_text");
        return good ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    }
    const shared config = child(c, A(EXECUTION_PLAN_ENGINE_CONFIG));
    REFUSE_IF(!config, CUDNN_STATUS_BAD_PARAM);
    REFUSE_IF(config->type != D(ENGINECFG), CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
    REFUSE_IF(!can_serve(config->engine, config->compiled), CUDNN_STATUS_NOT_SUPPORTED);
    c->engine = config->engine;
    c->compiled = config->compiled;
    library::count("plan_from_config");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t close(const shared &c) {
    switch (c->type) {
        case D(TENSOR):
            return check_tensor(c);
        case D(CONVOLUTION):
            return check_window(c);
        case D(OPERATIONGRAPH):
            REFUSE_IF(!contexts.count(get<void *>(c, GRAPH_HANDLE)), CUDNN_STATUS_BAD_PARAM);
            return close_graph(c);
        case D(ENGINEHEUR):
            c->compiled = child(c, A(ENGINEHEUR_OPERATION_GRAPH))->compiled;
            return CUDNN_STATUS_SUCCESS;
        case D(EXECUTION_PLAN):
            return close_plan(c);
        case D(VARIANT_PACK): {
            const value *uids = find(c, A(VARIANT_PACK_UNIQUE_IDS));
            const value *pointers = find(c, A(VARIANT_PACK_DATA_POINTERS));
            return uids->count == pointers->count ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
        }
        default:
            return CUDNN_STATUS_SUCCESS;
    }
}

cudnnStatus_t finalize(cudnnBackendDescriptor_t d) {
    ENTER("cudnn_backend_finalize");
    const shared c = content_of(d);
    REFUSE_IF(!c || c->finalized, CUDNN_STATUS_BAD_PARAM);
    for (const rule &r : rules) {
        REFUSE_IF(r.owner == c->type && r.required && !find(c, r.name), CUDNN_STATUS_BAD_PARAM);
    }
    const cudnnStatus_t status = close(c);
    c->finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* ---- Attributes ---- */

cudnnStatus_t set_attribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    ENTER("cudnn_backend_set_attribute");
    const shared c = content_of(d);
    REFUSE_IF(!c || c->finalized, CUDNN_STATUS_BAD_PARAM);
    REFUSE_IF(!values, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    for (const rule &r : rules) {
        if (r.owner != c->type || r.name != (int)name) continue;
        /* the factors of a convolution are of the type of its sums */
        const bool wide = r.type == T(FLOAT) && type == T(DOUBLE);
        REFUSE_IF(r.type != type && !wide, CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
        REFUSE_IF(count < r.least || count > r.most, CUDNN_STATUS_BAD_PARAM);
        value v = {type,
                   count,
                   std::string(static_cast<const char *>(values), (size_t)count * size_of(type)),
                   {}};
        if (type == T(BACKEND_DESCRIPTOR)) {
            for (int64_t i = 0; i < count; i++) {
                const shared part =
                    content_of(static_cast<const cudnnBackendDescriptor_t *>(values)[i]);
                REFUSE_IF(!part, CUDNN_STATUS_BAD_PARAM);
                REFUSE_IF(!part->finalized, CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
                v.children.push_back(part);
            }
        }
        c->values[(int)name] = v;
        return CUDNN_STATUS_SUCCESS;
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* Copies up to `requested` values, and says how many there are. */
cudnnStatus_t give(const void *values, int64_t there, size_t size, int64_t requested,
                   int64_t *count, void *to) {
    REFUSE_IF(!count || requested < 0, CUDNN_STATUS_BAD_PARAM);
    *count = there;
    if (requested == 0) return CUDNN_STATUS_SUCCESS;
    REFUSE_IF(!to, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (requested < there) *count = there = requested;
    if (there) std::memcpy(to, values, (size_t)there * size);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t give_notes(uint32_t notes, int64_t requested, int64_t *count, void *to) {
    std::vector<int32_t> list;
    for (int32_t i = 0; i < 32; i++) {
        if (notes >> i & 1) list.push_back(i);
    }
    return give(list.data(), (int64_t)list.size(), sizeof(int32_t), requested, count, to);
}

/* Fills descriptors that the caller made for the purpose. */
cudnnStatus_t give_parts(const std::vector<shared> &parts, cudnnBackendDescriptorType_t type,
                         int64_t requested, int64_t *count, void *to) {
    REFUSE_IF(!count || requested < 0, CUDNN_STATUS_BAD_PARAM);
    *count = (int64_t)parts.size();
    if (requested < *count && requested > 0) *count = requested;
    for (int64_t i = 0; i < *count && requested > 0; i++) {
        void *room = static_cast<void **>(to)[i];
        REFUSE_IF(!descriptors.count(room), CUDNN_STATUS_BAD_PARAM);
        descriptor *d = static_cast<descriptor *>(room);
        REFUSE_IF(d->own->type != type, CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
        d->own = parts[(size_t)i];
    }
    return CUDNN_STATUS_SUCCESS;
}

shared made(cudnnBackendDescriptorType_t type, const program &p, int64_t engine) {
    shared c = std::make_shared<content>();
    c->type = type;
    c->finalized = true;
    c->compiled = p;
    c->engine = engine;
    return c;
}

cudnnStatus_t get_attribute(const cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, int64_t requested, int64_t *count,
                            void *to) {
    ENTER("cudnn_backend_get_attribute");
    const shared c = content_of(d);
    REFUSE_IF(!c, CUDNN_STATUS_BAD_PARAM);
    REFUSE_IF(!c->finalized, CUDNN_STATUS_NOT_INITIALIZED);
#define READS(owner, attribute, kind) \
    (c->type == D(owner) && (int)name == (int)A(attribute) && type == T(kind))
    if (READS(ENGINEHEUR, ENGINEHEUR_RESULTS, BACKEND_DESCRIPTOR)) {
        std::vector<shared> parts;
        for (int64_t e : candidates(get<int32_t>(c, A(ENGINEHEUR_MODE)), c->compiled)) {
            parts.push_back(made(D(ENGINECFG), c->compiled, e));
        }
        return give_parts(parts, D(ENGINECFG), requested, count, to);
    }
    if (READS(ENGINECFG, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR)) {
        return give_parts({made(D(ENGINE), c->compiled, c->engine)}, D(ENGINE), requested, count,
                          to);
    }
    if (READS(ENGINE, ENGINE_NUMERICAL_NOTE, NUMERICAL_NOTE)) {
        return give_notes(facts_of(c->engine).numerical, requested, count, to);
    }
    if (READS(ENGINE, ENGINE_BEHAVIOR_NOTE, BEHAVIOR_NOTE)) {
        return give_notes(facts_of(c->engine).behavior, requested, count, to);
    }
    if (READS(ENGINE, ENGINE_GLOBAL_INDEX, INT64)) {
        return give(&c->engine, 1, sizeof c->engine, requested, count, to);
    }
    if (READS(EXECUTION_PLAN, EXECUTION_PLAN_WORKSPACE_SIZE, INT64)) {
        const int64_t bytes = (int64_t)workspace_of(c->engine, c->compiled);
        return give(&bytes, 1, sizeof bytes, requested, count, to);
    }
    if (READS(EXECUTION_PLAN, EXECUTION_PLAN_JSON_REPRESENTATION, CHAR)) {
        const std::string text = to_text(c->engine, c->compiled);
        return give(text.data(), (int64_t)text.size(), 1, requested, count, to);
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* ---- Life ---- */

cudnnStatus_t create_descriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out) {
    ENTER("cudnn_backend_create_descriptor");
    REFUSE_IF(!out, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    descriptor *d = new descriptor{std::make_shared<content>()};
    d->own->type = type;
    descriptors.insert(d);
    library::objects++;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t destroy_descriptor(cudnnBackendDescriptor_t d) {
    std::lock_guard<std::mutex> guard(lock);
    REFUSE_IF(!descriptors.erase(d), CUDNN_STATUS_BAD_PARAM);
    static_cast<descriptor *>(d)->own->destroyed = true;
    delete static_cast<descriptor *>(d);
    library::objects--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t create(cudnnHandle_t *out) {
    ENTER("cudnn_create");
    REFUSE_IF(!out, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    context *c = new context;
    if (cuda->get_device(&c->device) != cudaSuccess) {
        delete c;
        return CUDNN_STATUS_NOT_INITIALIZED;
    }
    contexts.insert(c);
    library::objects++;
    *out = reinterpret_cast<cudnnHandle_t>(c);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t destroy(cudnnHandle_t h) {
    std::lock_guard<std::mutex> guard(lock);
    REFUSE_IF(!contexts.erase(h), CUDNN_STATUS_BAD_PARAM);
    delete reinterpret_cast<context *>(h);
    library::objects--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_stream(cudnnHandle_t h, cudaStream_t stream) {
    ENTER("cudnn_set_stream");
    REFUSE_IF(!contexts.count(h), CUDNN_STATUS_BAD_PARAM);
    reinterpret_cast<context *>(h)->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t version() { return 91900; }

const char *error_string(cudnnStatus_t status) {
    switch (CUDNN_STATUS_CATEGORY((int)status)) {
        case CUDNN_STATUS_SUCCESS:
            return "CUDNN_STATUS_SUCCESS";
        case 2000:
            return "CUDNN_STATUS_BAD_PARAM";
        case CUDNN_STATUS_NOT_SUPPORTED:
            return "CUDNN_STATUS_NOT_SUPPORTED";
        case CUDNN_STATUS_INTERNAL_ERROR:
            return "CUDNN_STATUS_INTERNAL_ERROR";
        default:
            return "CUDNN_STATUS_EXECUTION_FAILED";
    }
}

/* ---- Running ---- */

cudnnStatus_t check_address(const tensor &t, const addresses &where) {
    if (t.is_virtual) return CUDNN_STATUS_SUCCESS;
    const char *p = where.at(t.uid);
    REFUSE_IF(!p, CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    REFUSE_IF((uintptr_t)p % (uintptr_t)t.alignment, CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    REFUSE_IF(!fake_is_device(p, extent(t)), CUDNN_STATUS_EXECUTION_FAILED);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_addresses(const program &p, const addresses &where) {
    std::vector<const tensor *> all = {&p.x, &p.filter, &p.y};
    for (const step &s : p.steps) {
        if (s.has_b) all.push_back(&s.b);
        all.push_back(&s.y);
    }
    for (const tensor *t : all) {
        const cudnnStatus_t status = check_address(*t, where);
        REFUSE_IF(status != CUDNN_STATUS_SUCCESS, status);
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t execute(cudnnHandle_t h, cudnnBackendDescriptor_t plan_,
                      cudnnBackendDescriptor_t pack_) {
    ENTER("cudnn_backend_execute");
    const shared plan = content_of(plan_), pack = content_of(pack_);
    REFUSE_IF(!contexts.count(h) || !plan || !pack, CUDNN_STATUS_BAD_PARAM);
    REFUSE_IF(!plan->finalized || !pack->finalized, CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    REFUSE_IF(plan->type != D(EXECUTION_PLAN) || pack->type != D(VARIANT_PACK),
              CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
    addresses where;
    const value *uids = find(pack, A(VARIANT_PACK_UNIQUE_IDS));
    for (int i = 0; i < (int)uids->count; i++) {
        where.uids.push_back(get<int64_t>(pack, A(VARIANT_PACK_UNIQUE_IDS), i));
        where.pointers.push_back(get<char *>(pack, A(VARIANT_PACK_DATA_POINTERS), i));
    }
    const cudnnStatus_t status = check_addresses(plan->compiled, where);
    REFUSE_IF(status != CUDNN_STATUS_SUCCESS, status);
    void *workspace = get<void *>(pack, A(VARIANT_PACK_WORKSPACE));
    const size_t bytes = workspace_of(plan->engine, plan->compiled);
    REFUSE_IF(bytes && !fake_is_device(workspace, bytes), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    const char *kind = plan->compiled.steps.empty() ? "conv" : "conv_fused";
    REFUSE_IF(library::refuses(kind), CUDNN_STATUS_NOT_SUPPORTED);
    library::count(kind);
    std::vector<const void *> needs(where.pointers.begin(), where.pointers.end());
    if (bytes) needs.push_back(workspace);
    cudaStream_t stream = reinterpret_cast<context *>(h)->stream;
    const bool captured = fake_is_captured(stream);
    const cudaError_t error = fake_enqueue(
        stream,
        [=]() {
            /* a plan may own its kernels' code: a graph needs it */
            if (captured && plan->destroyed) return cudaErrorIllegalInstruction;
            run(plan->engine, plan->compiled, where, workspace);
            return cudaSuccess;
        },
        needs);
    return error == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

/* The device's clock runs by executions: what passed since the last look, whichever the events. */
cudaError_t elapsed(float *milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = (float)cost_since_last();
    return cudaSuccess;
}

}  // namespace

void fake_fill_cudnn(struct cuda_api *t) {
    t->event_elapsed_time = elapsed;
    t->cudnn_create = create;
    t->cudnn_destroy = destroy;
    t->cudnn_set_stream = set_stream;
    t->cudnn_get_version = version;
    t->cudnn_get_error_string = error_string;
    t->cudnn_backend_create_descriptor = create_descriptor;
    t->cudnn_backend_destroy_descriptor = destroy_descriptor;
    t->cudnn_backend_finalize = finalize;
    t->cudnn_backend_set_attribute = set_attribute;
    t->cudnn_backend_get_attribute = get_attribute;
    t->cudnn_backend_execute = execute;
}
