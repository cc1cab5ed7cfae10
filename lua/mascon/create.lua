--- Functions that make tensors: from Lua values, filled, ranges, random.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local raise = require "mascon.raise"
require "mascon.random"

local C, is_tensor = layer.C, layer.is_tensor
local M = {}

-- Shapes and options --------------------------------------------------------------------------------

local common = {
  { "dtype", nil, "string" },
  { "device", "cpu", "string" },
  { "requires_grad", false, "boolean" },
}

--- Splits (…) of zeros and its like into sizes and options: sizes by position or in one table, options
--- as string keys of the last table.
local function shape_and_options(name, spec, ...)
  local n = select("#", ...)
  local first, last = (...), (select(n > 0 and n or 1, ...))
  local sizes, given
  if type(first) == "table" and not is_tensor(first) then
    sizes = first
    given = n > 1 and last or first
    if n > 2 then
      options.fail(name, ("%d arguments given; expected a shape and options"):format(n))
    end
  elseif type(first) == "number" then
    sizes = { ... }
    if type(last) == "table" then
      sizes[n] = nil
      given = last
    end
  else
    sizes = options.sizes(name, "shape", first)
  end
  local list = options.sizes(name, "shape", sizes)
  local read = options.read(name, given, spec or common)
  return list, read
end

local function finish(t, read)
  if read.requires_grad then
    layer.check(C.mascon_tensor_set_requires_grad(t.h, 1), "requires_grad")
  end
  return t
end

local shape_box = layer.new "int64_t[8]"

--- An uninitialised tensor.
local function new(name, sizes, dtype, device)
  for i = 1, #sizes do
    shape_box[i - 1] = sizes[i]
  end
  local id, where = op.dtype(name, dtype or "float32"), op.device(name, device or "cpu")
  local box = layer.tensor_box
  local status = C.mascon_tensor_new(box, id, #sizes, shape_box, where)
  if status == C.MASCON_E_OOM then
    collectgarbage()
    collectgarbage()
    C.mascon_empty_cache(where)
    status = C.mascon_tensor_new(box, id, #sizes, shape_box, where)
    if status == C.MASCON_E_OOM then
      local text = layer.new("char[?]", 800)
      C.mascon_memory_report(where, text, 800)
      local e = C.mascon_last_error()
      local report = layer.string(text)
      raise.raise(name, layer.string(e.message),
        report ~= "" and "largest live tensors:\n" .. report or "no tensors are alive")
    end
  end
  layer.check(status, name)
  local t = layer.wrap(box[0])
  layer.note_debt(C.mascon_tensor_numel(t.h) * C.mascon_dtype_size(id))
  return t
end
M.new = new

--- An uninitialised tensor {n, c, h, w} in channels-last memory; convolution weights live so.
function M.new_nhwc(name, sizes, dtype, device)
  for i = 1, 4 do
    shape_box[i - 1] = sizes[i]
  end
  layer.check(C.mascon_tensor_new_nhwc(layer.tensor_box, op.dtype(name, dtype or "float32"), shape_box,
    op.device(name, device or "cpu")), name)
  return layer.wrap(layer.tensor_box[0])
end

local function filled(name, value, sizes, read)
  local t = new(name, sizes, read.dtype, read.device)
  op.run("fill", name, true, t, value)
  return finish(t, read)
end

--- Tensors of zeros: zeros{2, 3}, zeros(2, 3), zeros({2, 3}, {dtype = "int64"}).
function M.zeros(...)
  return filled("zeros", 0, shape_and_options("zeros", nil, ...))
end

--- Tensors of ones.
function M.ones(...)
  return filled("ones", 1, shape_and_options("ones", nil, ...))
end

--- A tensor of one value: full({2, 3}, 7, {dtype =}).
function M.full(shape, value, given)
  local sizes = options.sizes("full", "shape", shape)
  options.check("full", { "value", nil, "number|boolean" }, value)
  local read = options.read("full", given, common)
  if type(value) == "boolean" then
    value = value and 1 or 0
    read.dtype = read.dtype or "bool"
  end
  return filled("full", value, sizes, read)
end

--- A tensor whose elements are not set.
function M.empty(...)
  local sizes, read = shape_and_options("empty", nil, ...)
  return finish(new("empty", sizes, read.dtype, read.device), read)
end

local function like(name, maker)
  return function(x, given)
    if not is_tensor(x) then
      options.fail(name, ("argument 1 is %s; expected a tensor"):format(options.show(x)))
    end
    local read = options.read(name, given, common)
    read.dtype = read.dtype or x.dtype
    if not (given and given.device) then
      read.device = x.device
    end
    return maker(x.shape, read)
  end
end

M.zeros_like = like("zeros_like", function(s, r) return filled("zeros_like", 0, s, r) end)
M.ones_like = like("ones_like", function(s, r) return filled("ones_like", 1, s, r) end)
M.empty_like = like("empty_like", function(s, r)
  return finish(new("empty_like", s, r.dtype, r.device), r)
end)

local function random(name, kernel)
  return function(sizes, read)
    local t = new(name, sizes, read.dtype, read.device)
    op.run(kernel, name, true, t)
    return finish(t, read)
  end
end

local make_rand, make_randn = random("rand", "uniform"), random("randn", "normal")

--- Uniform numbers in [0, 1).
function M.rand(...)
  return make_rand(shape_and_options("rand", nil, ...))
end

--- Normal numbers with mean 0 and standard deviation 1.
function M.randn(...)
  return make_randn(shape_and_options("randn", nil, ...))
end

M.rand_like = like("rand_like", make_rand)
M.randn_like = like("randn_like", make_randn)

function M.full_like(x, value, given)
  local read = options.read("full_like", given, common)
  return filled("full_like", value, x.shape, {
    dtype = read.dtype or x.dtype, device = given and given.device or x.device,
    requires_grad = read.requires_grad,
  })
end

local function from_op(name, op_name)
  local names = {}
  for _, attr in ipairs(op.row(op_name).attrs) do
    names[attr.name] = true
  end
  return function(...)
    local n = select("#", ...)
    local args = { ... }
    local last = args[n]
    local requires_grad
    if type(last) == "table" and last.requires_grad ~= nil and not names.requires_grad then
      local copy = {}
      for k, v in pairs(last) do
        copy[k] = v
      end
      requires_grad, copy.requires_grad = copy.requires_grad, nil
      args[n] = copy
    end
    local t = op.run(op_name, name, false, unpack(args, 1, n))
    return finish(t, { requires_grad = requires_grad })
  end
end

--- range(first, last, step = 1): both ends, as Lua's for.
function M.range(first, last, step, given)
  if type(step) == "table" then
    step, given = nil, step
  end
  local copy = { inclusive = true, step = step }
  for k, v in pairs(given or {}) do
    copy[k] = v
  end
  copy.start, copy["end"] = first, last
  return M.arange_options("range", copy)
end

function M.arange_options(name, given)
  local requires_grad = given.requires_grad
  given.requires_grad = nil
  return finish(op.run("arange", name, false, given), { requires_grad = requires_grad })
end

--- arange(end), arange(start, end), arange(start, end, step): the end is excluded, as in PyTorch.
function M.arange(...)
  local args, n = { ... }, select("#", ...)
  local given = {}
  if type(args[n]) == "table" then
    for k, v in pairs(args[n]) do
      given[k] = v
    end
    n = n - 1
  end
  if n == 1 then
    given.start, given["end"] = 0, args[1]
  elseif n >= 2 then
    given.start, given["end"], given.step = args[1], args[2], n >= 3 and args[3] or given.step
  end
  return M.arange_options("arange", given)
end

M.linspace = from_op("linspace", "linspace")
M.eye = from_op("eye", "eye")
M.randint = from_op("randint", "randint")
M.randperm = from_op("randperm", "randperm")

-- From Lua values -----------------------------------------------------------------------------------

local function path_text(path)
  if #path == 1 then
    return ("element %d"):format(path[1])
  end
  return ("element {%s}"):format(table.concat(path, ", "))
end

--- The shape of nested lists, from their first elements; D15 for a cycle.
local function shape_of(data)
  local shape, seen = {}, {}
  while type(data) == "table" and not is_tensor(data) do
    if seen[data] then
      options.fail("tensor", "table contains itself")
    end
    seen[data] = true
    shape[#shape + 1] = #data
    if #shape > 8 then
      options.fail("tensor", ("%d dimensions; at most 8 are supported"):format(#shape))
    end
    data = data[1]
    if data == nil then
      break
    end
  end
  return shape, type(data) == "boolean"
end

local function check_length(data, shape, depth, path)
  if #data == shape[depth] then
    return
  end
  if #path <= 1 then
    options.fail("tensor", ("ragged table; row 1 has %d values, row %d has %d"):format(shape[depth],
      path[1] or 1, #data))
  end
  options.fail("tensor", ("ragged table; %s has %d values, expected %d"):format(path_text(path), #data,
    shape[depth]))
end

local function flatten(data, shape, depth, path, values, at)
  if depth > #shape then
    if type(data) == "boolean" then
      data = data and 1 or 0
    elseif is_tensor(data) and data:numel() == 1 then
      data = data:item()
    elseif type(data) == "table" then
      options.fail("tensor", ("ragged table; %s is a table, others are numbers"):format(
        path_text(path)))
    elseif type(data) ~= "number" then
      options.fail("tensor", ("%s is a %s; expected a number"):format(path_text(path), type(data)))
    end
    values[at] = data
    return at + 1
  end
  if type(data) ~= "table" then
    options.fail("tensor", ("%s is a %s; expected a table of %d values"):format(path_text(path),
      type(data), shape[depth]))
  end
  check_length(data, shape, depth, path)
  for i = 1, shape[depth] do
    path[depth] = i
    at = flatten(data[i], shape, depth + 1, path, values, at)
    path[depth] = nil
  end
  return at
end

-- What a whole-number type holds: from, and to before.
local ranges = { uint8 = { 0, 2 ^ 8 }, int32 = { -2 ^ 31, 2 ^ 31 }, int64 = { -2 ^ 63, 2 ^ 63 } }

--- The place of value number i (from 0) in nested lists of a shape.
local function path_of(i, shape)
  local path = {}
  for d = #shape, 1, -1 do
    path[d] = i % shape[d] + 1
    i = math.floor(i / shape[d])
  end
  return path
end

--- Fails where a value does not fit into a whole-number type; its fraction is cut off.
local function check_whole(values, count, shape, dtype)
  local range = ranges[dtype]
  if not range then
    return
  end
  local low, high = range[1] == 0 and -1 or range[1], range[2]
  for i = 0, count - 1 do
    local v = values[i]
    if not (v >= low and v < high) or v == -1 and low == -1 then
      options.fail("tensor", ("%s is %s; %s holds %s"):format(#shape == 0 and "the value"
        or path_text(path_of(i, shape)), options.show(v), dtype, dtype == "int64" and "whole numbers of 64 bits"
        or ("%.0f..%.0f"):format(range[1], range[2] - 1)))
    end
  end
end

--- A tensor of Lua numbers or booleans in nested lists: tensor({{1, 2}, {3, 4}}, {dtype = "int64"}).
---@param data number|boolean|table
---@param given? table dtype, device, requires_grad; may also stand in data's table
function M.tensor(data, given)
  if is_tensor(data) then
    local read = options.read("tensor", given, common)
    local t = data:detach():clone()
    if read.dtype then
      t = t:to(read.dtype)
    end
    return finish(given and given.device and t:to(read.device) or t, read)
  end
  if type(data) ~= "table" and type(data) ~= "number" and type(data) ~= "boolean" then
    options.fail("tensor", ("argument 1 is %s; expected a number or nested tables of numbers"):format(
      options.show(data)))
  end
  if given == nil and type(data) == "table" then
    given = data
  end
  local read = options.read("tensor", given, common)
  local shape, boolean = shape_of(data)
  local count = 1
  for _, size in ipairs(shape) do
    count = count * size
  end
  local values = layer.new("double[?]", math.max(count, 1))
  if count > 0 then
    flatten(data, shape, 1, {}, values, 0)
  end
  check_whole(values, count, shape, read.dtype)
  local t = new("tensor", shape, read.dtype or (boolean and "bool") or "float32", read.device)
  layer.check(C.mascon_tensor_write(t.h, values), "tensor")
  return finish(t, read)
end

-- Host memory ----------------------------------------------------------------------------------------

local anchors, next_anchor = {}, 1

--- Forgets the anchors of memory that no tensor uses any more.
local function drain_anchors()
  local id = C.mascon_anchor_next()
  while id ~= 0 do
    anchors[tonumber(id)] = nil
    id = C.mascon_anchor_next()
  end
end
M.drain_anchors = drain_anchors

--- Keeps a value alive under a number until C says that its user is gone.
---@param value any
---@return integer
function M.anchor(value)
  drain_anchors()
  local id = next_anchor
  next_anchor = next_anchor + 1
  anchors[id] = value
  return id
end

--- The value kept under a number.
function M.anchored(id)
  return anchors[id]
end

--- A row-major CPU tensor over memory of the host.
---@param pointer any cdata pointer to the first element
---@param shape integer[]
---@param dtype string
---@param anchor any kept alive as long as any tensor over the memory lives
function M.from_blob(pointer, shape, dtype, anchor)
  local sizes = options.sizes("from_blob", "shape", shape)
  if type(pointer) ~= "cdata" then
    options.fail("from_blob", ("argument 1 is %s; expected a pointer"):format(options.show(pointer)))
  end
  for i = 1, #sizes do
    shape_box[i - 1] = sizes[i]
  end
  local id = anchor ~= nil and M.anchor(anchor) or 0
  local status = C.mascon_tensor_from_blob(layer.tensor_box, layer.cast("void *", pointer),
    op.dtype("from_blob", dtype), #sizes, shape_box, id)
  layer.check(status, "from_blob")
  return layer.wrap(layer.tensor_box[0])
end

return M
