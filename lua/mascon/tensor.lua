--- What a Lua tensor can do: fields, methods, operators, subscripts.
-- A tensor is a cdata struct with one counted handle (see mascon.ffi); operations come from the op table.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local create = require "mascon.create"

local C, is_tensor, check = layer.C, layer.is_tensor, layer.check
local find, run = op.find, op.run

local M = {}

--- Methods, in front of the ops.
---@class mascon.Tensor
---@field shape integer[]
---@field dtype string
---@field device string
---@field requires_grad boolean
---@field grad mascon.Tensor?
local methods = {}
M.methods = methods

-- Fields --------------------------------------------------------------------------------------------

local fields = {}

local function alive(t, name)
  if C.mascon_tensor_is_released(t.h) ~= 0 then
    check(C.mascon_tensor_item(t.h, layer.number_box), name)
  end
end

function fields.shape(t)
  local n, shape = C.mascon_tensor_ndim(t.h), C.mascon_tensor_shape(t.h)
  local list = {}
  for i = 1, n do
    list[i] = tonumber(shape[i - 1])
  end
  return list
end

function fields.dtype(t)
  return layer.string(C.mascon_dtype_name(C.mascon_tensor_dtype(t.h)))
end

function fields.device(t)
  local device = C.mascon_tensor_device(t.h)
  return device == 0 and "cpu" or "cuda:" .. bit.band(device, 255)
end

function fields.requires_grad(t)
  return C.mascon_tensor_requires_grad(t.h) ~= 0
end

function fields.is_leaf(t)
  return C.mascon_tensor_is_leaf(t.h) ~= 0
end

function fields.grad(t)
  check(C.mascon_tensor_grad(t.h, layer.tensor_box), "grad")
  local handle = layer.tensor_box[0]
  if handle ~= nil then
    return layer.own(handle) -- the tensor's own: the end of a scope must not release it
  end
end

-- Sizes ---------------------------------------------------------------------------------------------

--- All sizes as a list, or the size of one dimension.
function methods.size(t, dim)
  if dim == nil then
    return fields.shape(t)
  end
  local n = C.mascon_tensor_ndim(t.h)
  local d = dim < 0 and dim + n or dim - 1
  if dim == 0 then
    options.fail("size", "0 is not a dimension; the first dimension is 1")
  elseif d < 0 or d >= n then
    options.fail("size", ("dimension %s of a %d-dimensional tensor"):format(options.show(dim), n))
  end
  return tonumber(C.mascon_tensor_shape(t.h)[d])
end

--- Number of dimensions.
function methods.dim(t)
  return C.mascon_tensor_ndim(t.h)
end

--- Number of elements.
function methods.numel(t)
  return tonumber(C.mascon_tensor_numel(t.h))
end

--- Whether the elements lie dense in row-major order.
function methods.is_contiguous(t)
  return C.mascon_tensor_is_contiguous(t.h) ~= 0
end

--- The memory layout: "strided" or "nhwc", and the strides in elements.
function methods.layout(t)
  local n, s, list = C.mascon_tensor_ndim(t.h), C.mascon_tensor_strides(t.h), {}
  for i = 1, n do
    list[i] = tonumber(s[i - 1])
  end
  return C.mascon_tensor_layout(t.h) == C.MASCON_LAYOUT_NHWC and "nhwc" or "strided", list
end

-- Values --------------------------------------------------------------------------------------------

--- The value of a tensor with one element, as a Lua number (true or false for bool).
function methods.item(t)
  check(C.mascon_tensor_item(t.h, layer.number_box), "item")
  local v = layer.number_box[0]
  if C.mascon_tensor_dtype(t.h) == C.MASCON_DTYPE_BOOL then
    return v ~= 0
  end
  return v
end

--- All values in logical order as a C array of doubles with its length.
local function read(t, name)
  local n = methods.numel(t)
  local values = layer.new("double[?]", math.max(n, 1))
  check(C.mascon_tensor_read(t.h, values), name)
  return values, n
end
M.read = read

--- The values as nested lists of Lua numbers (booleans for bool); a number for a scalar.
function methods.totable(t)
  local values = read(t, "totable")
  local shape = fields.shape(t)
  local is_bool = C.mascon_tensor_dtype(t.h) == C.MASCON_DTYPE_BOOL
  local at = 0
  local function build(depth)
    if depth > #shape then
      local v = values[at]
      at = at + 1
      if is_bool then
        return v ~= 0
      end
      return v
    end
    local list = {}
    for i = 1, shape[depth] do
      list[i] = build(depth + 1)
    end
    return list
  end
  return build(1)
end

local pointer_types = {
  float32 = "float *", float64 = "double *", int64 = "int64_t *", int32 = "int32_t *",
  uint8 = "uint8_t *", bool = "uint8_t *", bfloat16 = "uint16_t *", float16 = "uint16_t *",
}
local pointer_box = layer.new "void *[1]"

--- A typed pointer to row-major CPU memory; taking it counts as a write.
function methods.data_ptr(t)
  check(C.mascon_tensor_data(t.h, pointer_box), "data_ptr")
  return layer.cast(pointer_types[fields.dtype(t)], pointer_box[0])
end

--- Declares a write through a raw pointer.
function methods.mark_changed(t)
  C.mascon_tensor_mark_changed(t.h)
  return t
end

--- A number that gives this tensor to another Lua state of the process: mascon.from_shared(number).
---@return integer
function methods.share(t)
  return require("mascon.shared").share(t)
end

--- Drops the memory now; later uses are errors.
function methods.release(t)
  layer.discard(t)
end

-- Conversions ---------------------------------------------------------------------------------------

local casts = {
  float = "float32", double = "float64", long = "int64", int = "int32", bool = "bool",
  half = "float16", bfloat16 = "bfloat16", byte = "uint8",
}

local function is_dtype(name)
  return C.mascon_dtype_find(name) >= 0
end

local function to_one(t, target)
  if is_tensor(target) then
    return to_one(to_one(t, fields.device(target)), fields.dtype(target))
  elseif type(target) == "string" and is_dtype(target) then
    return fields.dtype(t) == target and t or run("cast", "to", false, t, target)
  end
  local device = op.device("to", target)
  if C.mascon_tensor_device(t.h) == device then
    return t
  end
  return run("transfer", "to", false, t, target)
end

--- Another dtype and/or device: x:to("float64"), x:to("cuda"), x:to("cuda", "bfloat16"), x:to(other).
function methods.to(t, ...)
  for i = 1, select("#", ...) do
    t = to_one(t, (select(i, ...)))
  end
  return t
end

for name, dtype in pairs(casts) do
  methods[name] = function(t)
    return to_one(t, dtype)
  end
end

function methods.cpu(t)
  return to_one(t, "cpu")
end

function methods.cuda(t)
  return to_one(t, "cuda")
end

--- The tensor itself where it is row-major, else a row-major copy.
function methods.contiguous(t)
  if methods.is_contiguous(t) then
    return t
  end
  return find "contiguous"(t)
end

--- The same values outside of any graph; shares memory.
function methods.detach(t)
  check(C.mascon_tensor_detach(t.h, layer.tensor_box), "detach")
  return layer.wrap(layer.tensor_box[0])
end

function methods.requires_grad_(t, on)
  check(C.mascon_tensor_set_requires_grad(t.h, on == false and 0 or 1), "requires_grad_")
  return t
end

-- Compositions ----------------------------------------------------------------------------------------

--- Swaps the dimensions of a matrix.
function methods.t(t)
  if t:dim() > 2 then
    options.fail("t", ("tensor has %d dimensions; expected 2 or fewer"):format(t:dim()),
      "x:transpose(1, 2)")
  end
  return t:dim() < 2 and t or t:transpose(1, 2)
end

--- Batched matrix product of two 3-dimensional tensors.
function methods.bmm(a, b)
  if not is_tensor(a) or not is_tensor(b) or a:dim() ~= 3 or b:dim() ~= 3 then
    options.fail("bmm", "expected two tensors of 3 dimensions")
  end
  return find "matmul"(a, b)
end

--- The outer product of two vectors.
function methods.outer(a, b)
  if not is_tensor(a) or not is_tensor(b) or a:dim() ~= 1 or b:dim() ~= 1 then
    options.fail("outer", "expected two tensors of 1 dimension")
  end
  return a:unsqueeze(2) * b:unsqueeze(1)
end

--- Cuts a dimension into parts of the given size (the last may be smaller), or of the given sizes.
---@return mascon.Tensor[]
function methods.split(t, size, dim)
  if type(dim) == "table" then
    dim = dim.dim
  end
  dim = dim or 1
  local total = methods.size(t, dim)
  local sizes = size
  if type(size) == "number" then
    if size < 1 then
      options.fail("split", ("size is %s; must be 1 or more"):format(options.show(size)))
    end
    sizes = {}
    for first = 1, math.max(total, 1), size do
      sizes[#sizes + 1] = math.min(size, total - first + 1)
    end
  end
  local parts, first = {}, 1
  for i, length in ipairs(sizes) do
    if first + length - 1 > total then
      break
    end
    parts[i] = t:narrow(dim, first, length)
    first = first + length
  end
  if first ~= total + 1 then
    options.fail("split", ("sizes {%s} do not add up to %d"):format(table.concat(sizes, ", "), total))
  end
  return parts
end

--- Cuts a dimension into a number of parts of equal size (the last may be smaller).
---@return mascon.Tensor[]
function methods.chunk(t, chunks, dim)
  if type(dim) == "table" then
    dim = dim.dim
  end
  if type(chunks) ~= "number" or chunks < 1 then
    options.fail("chunk", ("chunks is %s; must be 1 or more"):format(options.show(chunks)))
  end
  local total = methods.size(t, dim or 1)
  if total == 0 then -- as many empty parts as were asked for
    local parts = {}
    for i = 1, chunks do
      parts[i] = t:narrow(dim or 1, 1, 0)
    end
    return parts
  end
  return methods.split(t, math.ceil(total / chunks), dim)
end

--- Raises where element i of a stack is not like the first.
local function check_alike(i, t, first)
  if table.concat(t.shape, ",") ~= table.concat(first.shape, ",") then
    options.fail("stack", ("element %d is {%s}, element 1 is {%s}; all must have one shape"):format(i,
      table.concat(t.shape, ", "), table.concat(first.shape, ", ")), "cat joins along a dimension that is there")
  elseif t.dtype ~= first.dtype then
    options.fail("stack", ("element %d is %s, element 1 is %s"):format(i, t.dtype, first.dtype),
      ('x:to("%s")'):format(first.dtype))
  elseif t.device ~= first.device then
    options.fail("stack", ("element %d is on %s, element 1 is on %s"):format(i, t.device, first.device),
      ('x:to("%s")'):format(first.device))
  end
end

--- Where the new dimension of a stack stands: an option, or by position.
local function stack_dim(tensors, given)
  if given == nil then
    given = { dim = tensors.dim }
  elseif type(given) == "number" then
    given = { dim = given }
  end
  return options.read("stack", given, { { "dim", 1, "integer" } }).dim
end

--- Joins tensors of one shape along a new dimension: stack{a, b}, stack({a, b}, {dim = 2}).
function M.stack(tensors, given)
  if type(tensors) ~= "table" or getmetatable(tensors) ~= nil or #tensors == 0 then
    options.fail("stack", "argument 1 is missing: expected a list of tensors, such as {a, b}")
  end
  local dim, list = stack_dim(tensors, given), {}
  for i = 1, #tensors do -- a nil in between, too
    local t = tensors[i]
    if not is_tensor(t) then
      options.fail("stack", ("element %d is %s; expected a tensor"):format(i, options.show(t)))
    end
    check_alike(i, t, tensors[1])
    local dims = #t.shape + 1
    if dim == 0 or dim > dims or dim < -dims then
      options.fail("stack", ("dimension %d of a result with %d dimensions"):format(dim, dims))
    end
    list[i] = t:unsqueeze(dim)
  end
  list.dim = dim
  return find "cat"(list)
end

--- Elements where cond is true come from x, else from y; x and y may be numbers.
function M.where(cond, x, y)
  if not is_tensor(cond) then
    options.fail("where", ("argument 1 is %s; expected a bool tensor"):format(options.show(cond)))
  end
  if type(x) == "number" and type(y) == "number" then
    x = create.full({}, x, { device = cond.device })
  end
  if type(x) == "number" then
    return find "where"(cond, y, { value = x, swap = true })
  elseif type(y) == "number" then
    return find "where"(cond, x, { value = y })
  end
  return find "where"(cond, x, y)
end

function methods.where(x, cond, y)
  return M.where(cond, x, y)
end

--- Whether all elements agree: |x - y| <= atol + rtol * |y|.
function M.allclose(x, y, given)
  local allowed = options.read("allclose", given, {
    { "rtol", 1e-5, "number", min = 0 }, { "atol", 1e-8, "number", min = 0 },
    { "equal_nan", false, "boolean" },
  })
  local a, b = x:detach():double(), y:detach():double()
  local good = (a - b):abs():le(b:abs() * allowed.rtol + allowed.atol):logical_or(a:eq(b))
  if allowed.equal_nan then
    good = good:logical_or(a:isnan():logical_and(b:isnan()))
  end
  return good:all():item()
end

function methods.allclose(x, y, given)
  return M.allclose(x, y, given)
end

-- In place ------------------------------------------------------------------------------------------

function methods.zero_(t)
  return run("fill", "zero_", true, t, 0)
end

function methods.copy_(t, source)
  if type(source) == "number" then
    return run("fill", "copy_", true, t, source)
  end
  return run("copy", "copy_", true, t, source)
end

-- Subscripts ----------------------------------------------------------------------------------------

--- One step of x[{…}]: applies the subscript to dimension dim; returns the view and the next dim.
local function subscript(t, dim, s)
  if type(s) == "number" then
    return run("select", "index", false, t, dim, s), dim
  elseif is_tensor(s) then
    if s.dtype == "bool" then
      options.fail("index", "a mask stands alone: x[mask]")
    end
    return run("index_select", "index", false, t, s, dim), dim + 1
  elseif type(s) ~= "table" then
    options.fail("index", ("%s cannot be a subscript"):format(options.show(s)),
      "x[2], x[{1, 3}], x[{{1, 2}, 3}], x[mask]")
  elseif #s == 0 then
    return t, dim + 1
  end
  local size = methods.size(t, dim)
  local function place(v)
    if type(v) ~= "number" or v ~= math.floor(v) then
      options.fail("index", ("%s is not a whole number"):format(options.show(v)))
    end
    local i = v < 0 and v + size + 1 or v
    if i < 1 or i > size then
      options.fail("index", ("%d is out of range for dimension %d of size %d (1..%d or -%d..-1)")
        :format(v, dim, size, size, size))
    end
    return i
  end
  local first, last, step = place(s[1]), s[2] == nil and size or place(s[2]), s[3] or 1
  if type(step) ~= "number" or step < 1 then
    options.fail("index", ("step is %s; must be 1 or more"):format(options.show(step)))
  end
  local length = math.max(0, math.floor((last - first) / step) + 1)
  if step == 1 then
    return run("narrow", "index", false, t, dim, first, length), dim + 1
  end
  return run("slice", "index", false, t, dim, first, length, step), dim + 1
end

--- Fails unless a mask covers the first dimensions of t.
local function check_mask(t, mask)
  local n = methods.dim(mask)
  if n == 0 or n > methods.dim(t) then
    options.fail("index", ("a mask of %d dimensions for a %d-dimensional tensor"):format(n, methods.dim(t)))
  end
  for d = 1, n do
    local size, want = methods.size(mask, d), methods.size(t, d)
    if size ~= want then
      options.fail("index", ("dimension %d of the mask is %d, of the tensor %d"):format(d, size, want))
    end
  end
  return n
end

--- x[mask]: the elements, or with a mask of fewer dimensions the rows, where it is true.
local function masked(t, mask)
  local n = check_mask(t, mask)
  if n == methods.dim(t) then
    return run("masked_select", "index", false, t, mask)
  end
  local rows = find "nonzero"(mask:flatten()):select(2, 1)
  return run("index_select", "index", false, t:flatten(1, n), rows, 1)
end

local function index(t, key)
  if type(key) == "number" then
    if key == 0 then
      options.fail("index", "0 is not an index; the first element is 1")
    end
    if methods.dim(t) == 0 then
      options.fail("index", "a scalar has no elements to select", "x:item()")
    end
    return run("select", "index", false, t, 1, key)
  elseif is_tensor(key) then
    if key.dtype == "bool" then
      return masked(t, key)
    end
    return run("index_select", "index", false, t, key, 1)
  elseif type(key) ~= "table" then
    options.fail("index", ("%s cannot be a subscript"):format(options.show(key)))
  end
  local dim, view = 1, t
  if #key > methods.dim(t) then
    options.fail("index", ("%d subscripts for a %d-dimensional tensor"):format(#key, methods.dim(t)))
  end
  for i = 1, #key do
    view, dim = subscript(view, dim, key[i])
  end
  return view
end

local function assign(t, key, value)
  if is_tensor(key) then
    if key.dtype ~= "bool" then
      options.fail("index", "assignment through an index tensor is not supported",
        "loop over the rows, or use mascon.where")
    elseif type(value) ~= "number" and not (is_tensor(value) and value:numel() == 1) then
      options.fail("index", "a mask can be assigned a number only", "mascon.where(mask, value, x)")
    end
    for _ = check_mask(t, key) + 1, methods.dim(t) do
      key = key:unsqueeze(-1)
    end
    return run("masked_fill", "index", true, t, key, type(value) == "number" and value or value:item())
  end
  for _, s in ipairs(type(key) == "table" and key or {}) do
    if is_tensor(s) then
      options.fail("index", "assignment through an index tensor is not supported")
    end
  end
  local view = index(t, key)
  if type(value) == "boolean" then
    value = value and 1 or 0
  end
  if type(value) == "number" then
    run("fill", "index", true, view, value)
  elseif is_tensor(value) then
    run("copy", "index", true, view, value)
  else
    options.fail("index", ("cannot assign %s"):format(options.show(value)))
  end
end

-- The metatable ----------------------------------------------------------------------------------------

local mt = {}

local function method_names()
  local names = {}
  for name in pairs(methods) do
    names[#names + 1] = name
  end
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  for _, row in ipairs(op.list()) do
    names[#names + 1] = find(row.name) and row.name
  end
  return names
end

function mt.__index(t, key)
  if type(key) ~= "string" then
    return index(t, key)
  end
  local method = methods[key]
  if method then
    return method
  end
  local field = fields[key]
  if field then
    alive(t, key)
    return field(t)
  end
  method = find(key)
  if method then
    methods[key] = method
    return method
  end
  local nearest = options.nearest(key, method_names())
  options.fail("tensor", ('a tensor has no field "%s"'):format(key),
    nearest and ('did you mean "%s"?'):format(nearest))
end

function mt.__newindex(t, key, value)
  if type(key) ~= "string" then
    return assign(t, key, value)
  elseif key == "grad" then
    if value ~= nil and not is_tensor(value) then
      options.fail("grad", ("%s is not a tensor"):format(options.show(value)))
    end
    check(C.mascon_tensor_set_grad(t.h, value ~= nil and value.h or nil), "grad")
  elseif key == "requires_grad" then
    methods.requires_grad_(t, value)
  else
    options.fail("tensor", ('field "%s" of a tensor cannot be set'):format(key))
  end
end

local function operator(name)
  local f
  return function(a, b)
    f = f or find(name)
    return f(a, b)
  end
end

mt.__add = operator "add"
mt.__sub = operator "sub"
mt.__mul = operator "mul"
mt.__div = operator "div"
mt.__pow = operator "pow"

function mt.__unm(a)
  return find "neg"(a)
end

function mt.__len(t)
  if methods.dim(t) == 0 then
    options.fail("#", "a scalar has no length")
  end
  return methods.size(t, 1)
end

function mt.__eq(a, b)
  return is_tensor(a) and is_tensor(b) and a.h == b.h
end

local function no_order(a, b)
  local name = is_tensor(a) and is_tensor(b) and "two tensors" or "a tensor and a number"
  options.fail("<", ("%s cannot be compared with < or >"):format(name), "x:lt(y), x:gt(y)")
end
mt.__lt, mt.__le = no_order, no_order

function mt.__tostring(t)
  return require "mascon.format".tensor(t, read)
end

function mt.__concat(a, b)
  return tostring(a) .. tostring(b)
end

layer.metatype(mt)

return M
