--- Descriptions of the tensors of op samples, and how they become tensors.
-- A spec file under spec/ops says S.randn{2, 3}; the matrix runner makes it in each dtype and memory
-- layout. Values depend on the description and its place alone.

local S = {}

local function describe(kind, shape, extra)
  extra = extra or {}
  extra.sample, extra.kind, extra.shape = true, kind, shape
  return extra
end

--- Normal numbers.
function S.randn(shape) return describe("randn", shape) end
--- Uniform numbers in [low, high).
function S.rand(shape, low, high) return describe("rand", shape, { low = low or 0, high = high or 1 }) end
--- Whole numbers low..high of a fixed dtype (default int64).
function S.int(shape, low, high, dtype)
  return describe("int", shape, { low = low, high = high, dtype = dtype or "int64" })
end
--- Class labels 1..classes.
function S.labels(shape, classes)
  return describe("int", shape, { low = 1, high = classes, dtype = "int64" })
end
function S.bool(shape) return describe("bool", shape, { dtype = "bool" }) end
--- Rows of probabilities: positive, summing to 1 over dimension 2.
function S.probabilities(shape) return describe("probabilities", shape) end
--- Given values (nested lists).
function S.values(data, dtype) return describe("values", nil, { data = data, dtype = dtype }) end

function S.is(v)
  return type(v) == "table" and v.sample == true
end

-- A small generator of its own, so that samples do not depend on what is tested.
local function generator(seed)
  local state = seed % 2147483647
  if state == 0 then
    state = 1
  end
  return function()
    state = (state * 16807) % 2147483647 -- Park and Miller's minimal standard
    return state / 2147483647
  end
end

local function normal(uniform)
  return math.sqrt(-2 * math.log(1 - uniform() * 0.999999)) * math.cos(2 * math.pi * uniform())
end

local draw = {
  randn = function(u) return normal(u) end,
  rand = function(u, d) return d.low + (d.high - d.low) * u() end,
  int = function(u, d) return math.min(d.high, d.low + math.floor(u() * (d.high - d.low + 1))) end,
  bool = function(u) return u() < 0.5 and 0 or 1 end,
  probabilities = function(u) return 0.1 + u() end,
}

--- Whether the description makes a floating tensor (whose dtype the runner chooses).
function S.is_floating(d)
  return d.dtype == nil or d.dtype:match "float" ~= nil
end

--- Makes a row-major tensor of a description.
---@param m table mascon
---@param d table description
---@param dtype string of floating tensors
---@param seed integer
function S.make(m, d, dtype, seed)
  dtype = d.dtype or dtype
  if d.kind == "values" then
    return m.tensor(d.data, { dtype = dtype })
  end
  local n = 1
  for _, size in ipairs(d.shape) do
    n = n * size
  end
  local u, values = generator(seed), {}
  for i = 1, n do
    values[i] = draw[d.kind](u, d)
  end
  local t = n > 0 and m.tensor(values, { dtype = "float64" }):view(d.shape) or m.zeros(d.shape,
    { dtype = "float64" })
  if d.kind == "probabilities" then
    t = t / t:sum(2, { keepdim = true })
  end
  return t:to(dtype)
end

--- Dense, but one element behind the beginning of an allocation: no load of 16 bytes may begin there.
local function shifted(m, t, nhwc)
  local shape, n = t.shape, t:numel()
  local line = m.zeros({ n + 1 }, { dtype = t.dtype, device = t.device }):narrow(1, 2, n)
  local view = nhwc and line:view { shape[1], shape[3], shape[4], shape[2] }:permute(1, 4, 2, 3)
    or line:view(shape)
  view:copy_(t)
  return view
end

--- The same values in another memory layout: "row", "view" (not contiguous), "nhwc" (four dimensions),
--- "shifted" (row-major, but not aligned), "shifted nhwc".
function S.relayout(m, t, layout)
  local shape = t.shape
  if layout == "shifted nhwc" and #shape == 4 then
    return shifted(m, t, true)
  elseif layout:match "^shifted" and t:numel() > 0 then
    return shifted(m, t)
  end
  if layout == "view" and #shape > 0 and #shape < 8 then
    local wide = { unpack(shape) }
    wide[#wide + 1] = 2
    local base = m.zeros(wide, { dtype = t.dtype, device = t.device })
    local view = base:select(#wide, 2)
    view:copy_(t)
    return view
  elseif layout == "nhwc" and #shape == 4 then
    local dense = require "mascon.create".new_nhwc("sample", shape, t.dtype, t.device)
    dense:copy_(t)
    return dense
  end
  return t
end

return S
