/* op.h: how an operation is declared.
 *
 * One file under lib/ops defines each op: a `const mascon_op mascon_op_<name>` with its signature,
 * options, shape rule and gradient. ops.def has one line for it. Everything else (Lua function, help,
 * support table, argument checks, test obligation) is read from these tables.
 */
#ifndef MASCON_CORE_OP_H
#define MASCON_CORE_OP_H

#include <float.h>

#include "mascon_backend.h"

/* ---- Options ---- */

/* Value types. The comment gives the slots an option takes in call->attr.
 * What Lua counts from 1 is converted in the binding, so C sees 0-based dims and indices. */
typedef enum mascon_attr_type {
    MASCON_ATTR_NUMBER,  /* 1: any double */
    MASCON_ATTR_INTEGER, /* 1 */
    MASCON_ATTR_BOOLEAN, /* 1: 0 or 1 */
    MASCON_ATTR_PAIR,    /* 2: a whole number for both, or {vertical, horizontal} */
    MASCON_ATTR_PADDING, /* 2: as PAIR, or "valid" (0, 0) or "same" (-1, -1) */
    MASCON_ATTR_DIM,     /* 1: a dimension, negative from the end */
    MASCON_ATTR_INDEX,   /* 1: a position, negative from the end */
    MASCON_ATTR_BASE,    /* 1: what index values inside tensors count from: 0 from C, 1 from Lua */
    MASCON_ATTR_DIMS,    /* 9: count, then dimensions; absent: every dimension */
    MASCON_ATTR_SIZES,   /* 9: count, then whole numbers */
    MASCON_ATTR_CHOICE,  /* 1: position in `choices` ("mean sum none") */
    MASCON_ATTR_DTYPE,   /* 1: MASCON_DTYPE_*; absent: the op's default */
    MASCON_ATTR_DEVICE   /* 1: a device number */
} mascon_attr_type;

/* How the plan cache and recordings treat an option. */
typedef enum mascon_attr_kind {
    MASCON_KEY,   /* part of the plan-cache key */
    MASCON_VALUE, /* read by the kernel at each run, not part of the key */
    MASCON_LIVE   /* as VALUE, and read from memory when a recording is replayed */
} mascon_attr_kind;

#define MASCON_REQUIRED (-DBL_MAX) /* as default: must be given */
#define MASCON_ABSENT DBL_MAX      /* as default: may be left out and then counts as not given */
#define MASCON_NOLIMIT 1e300

typedef struct mascon_attr {
    const char *name;
    mascon_attr_type type;
    mascon_attr_kind kind;
    double standard, min, max; /* default; smallest and largest value allowed (of each slot) */
    const char *choices;       /* for CHOICE: names separated by spaces */
    const char *help;
} mascon_attr;

/* Slots an option of this type takes. */
int masconI_attr_slots(mascon_attr_type type);
/* First slot of option index of an op. */
int masconI_attr_slot(int32_t op, int index);
/* First slot of the named option of an op; -1 where there is none. */
int masconI_attr_find(int32_t op, const char *name);

/* ---- Shape rules ---- */

/* What infer says about one output. Elements are not strided here: the dispatcher chooses memory. */
typedef struct mascon_meta {
    int32_t dtype;
    int32_t ndim;
    int64_t shape[MASCON_MAX_DIMS];
    /* of a view op only: where the output lies in src[0]'s storage, in elements */
    int64_t stride[MASCON_MAX_DIMS];
    int64_t offset;
    int32_t copy; /* a view op that cannot alias here asks for a row-major copy first (reshape) */
    uint32_t writes; /* of out[0]: bit per src that the kernel will write (running statistics) */
} mascon_meta;

/* ---- Gradients ---- */

/* What a gradient function works on. x(i) and y(i) are the saved tensors (those named in `saves`
 * hold values, of the others only shape, dtype and layout may be used). */
typedef struct mascon_grad {
    const mascon_call *call;           /* op, options, random state, src and dst as saved */
    mascon_tensor *dy[MASCON_MAX_DST]; /* gradients of the outputs; NULL where none flowed */
    int32_t n_inputs;                  /* n_src, or n_list for a list op */
    const uint8_t *need;               /* per input: whether its gradient is wanted */
    mascon_tensor **dx;                /* out, per input: owned, NULL for none */
} mascon_grad;

typedef struct mascon_op {
    const char *name;
    const char *
        inputs; /* names; "?" marks an optional one; "tensors*" a list, "params* grads*" groups of equal length */
    const char *outputs; /* names. "" for an op that writes its inputs (optimizers) */
    const mascon_attr *attrs;
    int32_t n_attrs;
    uint32_t flags; /* MASCON_OP_* below */
    uint32_t
        dtypes; /* bit per MASCON_DTYPE of src[0] (after promotion) that the op is defined for */
    const char *summary;
    const char *example; /* a line of Lua, or NULL */
    /* Checks the call and fills out[0..n_dst-1]. Sets call->n_dst where it varies. */
    mascon_status (*infer)(mascon_call *call, mascon_meta *out);
    /* Fills g->dx by emitting calls. NULL needs the flag NO_GRAD. */
    mascon_status (*grad)(mascon_grad *g);
    const char *saves; /* names of inputs and outputs whose values grad needs; NULL: none */
    uint32_t uncast;   /* bit per input that autocast leaves as it is */
    int32_t version;   /* of what it computes, for saved models; 0 is the first */
} mascon_op;

enum {
    MASCON_OPF_NO_GRAD = 1, /* not differentiable: outputs never require a gradient */
    MASCON_OPF_BACKWARD =
        2, /* a backward op; not shown to Lua; NO_GRAD, and differentiating is an error */
    MASCON_OPF_VIEW = 4,         /* dst[0] aliases src[0]; the core does it alone */
    MASCON_OPF_LIST = 8,         /* inputs come in call->list */
    MASCON_OPF_RANDOM = 16,      /* draws call->random */
    MASCON_OPF_PROMOTE = 32,     /* src 0 and 1 are brought to their common dtype first */
    MASCON_OPF_FLOAT = 64,       /* integer inputs become float32 first */
    MASCON_OPF_IN_PLACE = 128,   /* dst[0] may be src[0]: Lua offers name_ */
    MASCON_OPF_WRITES = 256,     /* writes its inputs (optimizers): versions are bumped */
    MASCON_OPF_CREATES = 512,    /* no inputs: device and dtype come from options */
    MASCON_OPF_HIDDEN = 1024,    /* an internal op that Lua does not offer under its name */
    MASCON_OPF_NO_RECORD = 2048, /* refused while recording */
    MASCON_OPF_EXACT = 4096, /* takes bfloat16 and float16 as they are: never widened (widen.c) */

    /* What autocast (core/autocast.c) does to the floating inputs; none of these: nothing. */
    MASCON_CAST_DOWN = 1 << 13,   /* bfloat16: products and convolutions */
    MASCON_CAST_UP = 1 << 14,     /* float32: what needs digits or range */
    MASCON_CAST_WIDEST = 1 << 15, /* the widest type among them */

    /* stands for several ops and rounds after each where its option `training` is set: then a call of
     * 16-bit floats needs a kernel for them, since widened it would round once */
    MASCON_OPF_STEPS = 1 << 16
};
enum { MASCON_CAST_ANY = MASCON_CAST_DOWN | MASCON_CAST_UP | MASCON_CAST_WIDEST };

enum {
    MASCON_T_F32 = 1 << MASCON_DTYPE_F32,
    MASCON_T_F64 = 1 << MASCON_DTYPE_F64,
    MASCON_T_BF16 = 1 << MASCON_DTYPE_BF16,
    MASCON_T_F16 = 1 << MASCON_DTYPE_F16,
    MASCON_T_I64 = 1 << MASCON_DTYPE_I64,
    MASCON_T_I32 = 1 << MASCON_DTYPE_I32,
    MASCON_T_U8 = 1 << MASCON_DTYPE_U8,
    MASCON_T_BOOL = 1 << MASCON_DTYPE_BOOL,
    MASCON_T_HALF = MASCON_T_BF16 | MASCON_T_F16,
    MASCON_T_FLOAT = MASCON_T_F32 | MASCON_T_F64 | MASCON_T_HALF,
    MASCON_T_INT = MASCON_T_I64 | MASCON_T_I32 | MASCON_T_U8,
    MASCON_T_NUMBER = MASCON_T_FLOAT | MASCON_T_INT,
    MASCON_T_ALL = 255
};

/* The table: masconI_ops[MASCON_OP_CONV2D] and so on. */
extern const mascon_op *const masconI_ops[MASCON_OP_COUNT];
/* Checks the whole table once (names unique, grad or NO_GRAD, saves are inputs or outputs, slots
 * fit); a broken table makes every call fail with a sentence that names the op. */
mascon_status masconI_registry_check(void);

/* ---- Helpers for shape rules (core/shape.c) ---- */

/* dim negative from the end, checked against ndim (a 0-dimensional tensor counts as 1). Fails as
 * D34: "dimension 5 of a 2-dimensional tensor". */
mascon_status masconI_dim(double dim, int32_t ndim, int32_t *out);
/* index negative from the end, checked against size. Fails as D33. */
mascon_status masconI_index(double index, int32_t dim, int64_t size, int64_t *out);
/* The dims of a DIMS option in slots attr[0..8] as flags per dimension; given == 0: all. */
mascon_status masconI_dims(const double *attr, int given, int32_t ndim,
                           uint8_t reduce[MASCON_MAX_DIMS]);
/* out's shape = the broadcast of both; fails as D16. */
mascon_status masconI_broadcast(const mascon_view *a, const mascon_view *b, mascon_meta *out);
/* out = same shape and dtype as v. */
void masconI_like(mascon_meta *out, const mascon_view *v);
void masconI_meta(mascon_meta *out, int32_t dtype, int32_t ndim, const int64_t *shape);
/* Product with overflow check; fails as D2. */
mascon_status masconI_numel(int32_t ndim, const int64_t *shape, int64_t *out);
void masconI_row_major(int32_t ndim, const int64_t *shape, int64_t *stride);
int masconI_same_shape(const mascon_view *a, const mascon_view *b);
/* Text "{2, 3}" of a shape, for messages; returns buffer. */
const char *masconI_shape_text(int32_t ndim, const int64_t *shape, char buffer[160]);
/* PyTorch's promotion of two tensors' dtypes (0-dimensional ones count less). */
int32_t masconI_promote(const mascon_view *a, const mascon_view *b);
int masconI_is_float(int32_t dtype);
/* bfloat16 and float16 */
int masconI_is_half(int32_t dtype);
/* The dtype in which sums and statistics of such elements are kept: float32 of the 16-bit types. */
int32_t masconI_sum_dtype(int32_t dtype);

/* ---- Helpers for gradients (core/autograd.c) ---- */

/* Runs op over the given sources with options (name, value pairs ended by NULL; see below) and
 * returns its first output in *out, owned. Recording is off.
 *   masconI_emit(MASCON_OP_mul, &dx, 2, (mascon_tensor *[]){dy, y}, NULL)
 *   masconI_emit(MASCON_OP_mul, &dx, 1, &dy, "other", 2.0, NULL)
 * A list-valued option (DIMS, SIZES) is set by masconI_call_begin below. */
mascon_status masconI_emit(int32_t op, mascon_tensor **out, int32_t n_src,
                           mascon_tensor *const *src, ...);
/* Runs a call of an op with the flag IN_PLACE, writing over src[0] where nobody else can see its memory:
 * for gradients, which saves the way through memory that a new tensor of an activation's size costs.
 * dst[0] is owned by the caller either way. */
mascon_status masconI_invoke_over(mascon_call *call);
/* Prepares a call of an op for longer option lists: fill src and attr yourself, then mascon_invoke. */
void masconI_call_init(mascon_call *call, int32_t op);
void masconI_call_set(mascon_call *call, const char *name, double value);
void masconI_call_set_list(mascon_call *call, const char *name, int32_t n, const int64_t *values);
/* Copies all options and the random state of another call of an op with the same option list. */
void masconI_call_copy_options(mascon_call *to, const mascon_call *from);
/* The gradient of a broadcast: sums grad down to like's shape. Takes over grad (released or passed on). */
mascon_status masconI_sum_to(mascon_tensor *grad, const mascon_view *like, mascon_tensor **out);

/* Shape, dtype and place of input or output i of a call. */
#define SRC(call, i) mascon_see((call)->src[i])
#define DST(call, i) mascon_see((call)->dst[i])

#endif
