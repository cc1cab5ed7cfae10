--- The matrix runner: every op of the C table against its reference kernel, its gradient, its errors.
-- For each sample of spec/ops/<op>.lua: float64 on the reference kernels is the oracle; float32 on the
-- CPU must agree in every memory layout; gradients are checked by central differences in float64 and
-- then in float32 against that (on a device in float64, too); bfloat16 and float16 must agree with
-- float64 of the same rounded numbers, for the first samples of an op; a recording replayed must give the
-- values of a plain call; bad input gives its sentence and leaks nothing; a failing allocation gives an
-- error and leaks nothing.
-- With MASCON_TEST_DEVICE=cuda the same samples run on that device, against the same references.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local rows = require "mascon.op.rows"
local S = require "spec.support.sample"

local C = layer.C
local DIFFERENCE = 1e-6 -- gradient against central differences, relative to the largest magnitude
local MAX_PROBES = 24   -- elements per input whose gradient is probed

local function load_spec(name)
  local chunk = loadfile("spec/ops/" .. name .. ".lua")
  return chunk and chunk()
end

local DEVICE = os.getenv "MASCON_TEST_DEVICE"
DEVICE = DEVICE ~= "" and DEVICE ~= "cpu" and DEVICE or nil
if DEVICE then
  mascon.set_float32_precision "highest"
end
local place = DEVICE -- where samples are made now; nil: the CPU

local function on_reference(fn)
  C.mascon_testing_reference(1)
  place = nil
  local results = { pcall(fn) }
  place = DEVICE
  C.mascon_testing_reference(0)
  if not results[1] then
    error(results[2], 0)
  end
  return unpack(results, 2)
end

--- A stable number for a sample's place.
local function seed_of(name, sample, argument)
  local h = 17
  for i = 1, #name do
    h = (h * 31 + name:byte(i)) % 1000003
  end
  return h * 97 + sample * 13 + argument * 7 + 1
end

--- The tensors and other arguments of a sample; `through`: rounded to this dtype before.
local function make_args(name, index, sample, dtype, layout, through)
  local args, tensors = {}, {}
  for i, a in ipairs(sample.args or sample.list or {}) do
    if S.is(a) then
      local made = S.make(mascon, a, through or dtype, seed_of(name, index, i))
      if through and S.is_floating(a) then
        made = made:to(dtype)
      end
      local t = S.relayout(mascon, place and made:to(place) or made, layout)
      args[i] = t
      tensors[#tensors + 1] = { t = t, d = a, at = i }
    else
      args[i] = a
    end
  end
  return args, tensors
end

--- The options of a sample; an op that makes tensors is told where.
local function options_of(name, sample)
  local device = place and rows.row(name).by_name.device
  if not device or device.required then
    return sample.options
  end
  local options = { device = place }
  for key, value in pairs(sample.options or {}) do
    options[key] = value
  end
  return options
end

--- Calls the op on made arguments; returns its outputs as a list.
local function call(name, sample, args)
  local f = op.find(name) or function(...) return op.run(name, name, false, ...) end -- hidden ones
  local n = #(sample.args or sample.list or {})
  local list = { unpack(args, 1, n) }
  if sample.list then
    list = { list }
    n = 1
  end
  for _, v in ipairs(sample.positional or {}) do
    n = n + 1
    list[n] = v
  end
  local options = options_of(name, sample)
  if options then
    n = n + 1
    list[n] = options
  end
  return { f(unpack(list, 1, n)) }
end

local function is_float(t)
  return t.dtype:match "float" ~= nil
end

local function largest(values, n)
  local most = 0
  for i = 0, n - 1 do
    local v = math.abs(values[i])
    if v == v and v < math.huge and v > most then
      most = v
    end
  end
  return most
end

--- The largest difference of two tensors relative to the largest magnitude of the second.
local function difference(a, b)
  assert.same(b.shape, a.shape)
  local x, n = require "mascon.tensor".read(a, "spec")
  local y = require "mascon.tensor".read(b, "spec")
  local most, scale = 0, math.max(largest(y, n), 1e-30)
  for i = 0, n - 1 do
    local p, q = x[i], y[i]
    if p ~= q and not (p ~= p and q ~= q) then
      local d = math.abs(p - q) / scale
      if d ~= d then
        return math.huge
      end
      most = math.max(most, d)
    end
  end
  return most
end

local function tolerance(spec, dtype)
  return spec.tolerance and spec.tolerance[dtype] or (dtype == "float64" and 1e-12 or 1e-5)
end

local function layouts_of(sample)
  local list = { "row", "view" }
  for _, a in ipairs(sample.args or sample.list or {}) do
    if S.is(a) and a.shape and #a.shape == 4 then
      list[3] = "nhwc"
    end
  end
  if DEVICE then -- whose kernels load several elements at once where memory is aligned
    list[#list + 1] = "shifted"
    list[#list + 1] = list[3] == "nhwc" and "shifted nhwc" or nil
  end
  return list
end

local function check_forward(name, index, sample, spec)
  local oracle = on_reference(function()
    return call(name, sample, (make_args(name, index, sample, "float64", "row")))
  end)
  for _, layout in ipairs(layouts_of(sample)) do
    for _, dtype in ipairs { "float32", "float64" } do
      local outs = call(name, sample, (make_args(name, index, sample, dtype, layout)))
      assert.equal(#oracle, #outs)
      for i, y in ipairs(outs) do
        local d = difference(y, oracle[i])
        assert.is_true(d <= tolerance(spec, dtype), ("%s sample %d output %d, %s %s: off by %g"):format(
          name, index, i, dtype, layout, d))
      end
    end
  end
end

local function wants_grad(sample, at, d)
  if not S.is_floating(d) or sample.grad == false then
    return false
  end
  return type(sample.grad) ~= "table" or sample.grad[at] ~= false
end

--- sum(y * w) over all floating outputs, w fixed. `kept`: a table that keeps them from call to call.
local function loss_of(outs, name, index, through, kept)
  local loss
  for i, y in ipairs(outs) do
    if is_float(y) then
      local w = kept and kept[i]
      if not w then
        w = S.make(mascon, S.randn(y.shape), through or y.dtype, seed_of(name, index, 50 + i))
          :to(y.dtype):to(y.device)
      end
      if kept then
        kept[i] = w
      end
      local part = (y * w):sum()
      loss = loss and loss + part or part
    end
  end
  return loss
end

--- The gradients of a sample's loss by backward, per differentiated argument.
local function gradients(name, index, sample, dtype, layout, through)
  local args, tensors = make_args(name, index, sample, dtype, layout, through)
  local asked = {}
  for _, entry in ipairs(tensors) do
    if wants_grad(sample, entry.at, entry.d) then
      entry.t:requires_grad_(true)
      asked[#asked + 1] = entry
    end
  end
  if #asked == 0 then
    return asked
  end
  local loss = loss_of(call(name, sample, args), name, index, through)
  if not loss or not loss.requires_grad then
    return {}
  end
  loss:backward()
  return asked
end

local function numeric(name, index, sample, at, position, args)
  local t = args[at]
  local pointer = t:data_ptr()
  local x = pointer[position]
  local h = 1e-5 * math.max(1, math.abs(x))
  local function loss(v)
    pointer[position] = v
    t:mark_changed()
    return loss_of(call(name, sample, args), name, index):item()
  end
  -- the five-point formula: its error is of the fourth order in h
  local h2 = h * 10
  local d = (loss(x - 2 * h2) - 8 * loss(x - h2) + 8 * loss(x + h2) - loss(x + 2 * h2)) / (12 * h2)
  pointer[position] = x
  t:mark_changed()
  return d
end

local function check_differences(name, index, sample)
  on_reference(function()
    local asked = gradients(name, index, sample, "float64", "row")
    local args = make_args(name, index, sample, "float64", "row")
    for _, entry in ipairs(asked) do
      local n = entry.t:numel()
      local grad = entry.t.grad
      assert.is_truthy(grad or n == 0, ("%s sample %d: no gradient for argument %d"):format(name, index,
        entry.at))
      if grad and n > 0 then
        local values = require "mascon.tensor".read(grad, "spec")
        local scale = math.max(largest(values, n), 1e-3)
        local stride = math.max(1, math.floor(n / MAX_PROBES))
        for position = 0, n - 1, stride do
          local d = numeric(name, index, sample, entry.at, position, args)
          local off = math.abs(d - values[position]) / math.max(scale, math.abs(d))
          assert.is_true(off <= (sample.difference or DIFFERENCE),
            ("%s sample %d argument %d element %d: gradient %.12g, difference quotient %.12g"):format(
              name, index, entry.at, position + 1, values[position], d))
        end
      end
    end
  end)
end

local function check_backends(name, index, sample, spec)
  local oracle = on_reference(function()
    return gradients(name, index, sample, "float64", "row")
  end)
  for _, layout in ipairs(layouts_of(sample)) do
    for _, dtype in ipairs(DEVICE and { "float32", "float64" } or { "float32" }) do
      local asked = gradients(name, index, sample, dtype, layout)
      assert.equal(#oracle, #asked)
      for i, entry in ipairs(asked) do
        local want = oracle[i].t.grad
        if want then
          local d = difference(entry.t.grad, want)
          local allowed = math.max(spec.tolerance and spec.tolerance.gradient or
            4 * tolerance(spec, "float32"), 1e-6)
          if dtype == "float64" then
            allowed = 1e-11
          end
          assert.is_true(d <= allowed, ("%s sample %d argument %d %s %s: gradient off by %g")
            :format(name, index, entry.at, dtype, layout, d))
        end
      end
    end
  end
end

-- The 16-bit types: one rounding of each result, and in a gradient one for each call it is made of.
local ROUNDINGS = DEVICE and 2 or 1 -- a device has no float32 between the calls of a gradient
local HALF = {
  { dtype = "bfloat16", samples = 3, forward = ROUNDINGS * 2 ^ -8, gradient = ROUNDINGS * 2 ^ -6 },
  { dtype = "float16", samples = 1, forward = ROUNDINGS * 2 ^ -11, gradient = ROUNDINGS * 2 ^ -9 },
}

local function check_half(name, index, sample, spec)
  for _, half in ipairs(HALF) do
    if index <= half.samples then
      local layouts = layouts_of(sample)
      local dtype, layout = half.dtype, layouts[index == 1 and DEVICE and #layouts or 1 + index % 2]
      local own = type(spec.half) == "table" and spec.half[dtype] or half
      local oracle = on_reference(function()
        return call(name, sample, (make_args(name, index, sample, "float64", "row", dtype)))
      end)
      local outs = call(name, sample, (make_args(name, index, sample, dtype, layout)))
      for i, y in ipairs(outs) do
        local d = difference(y, oracle[i])
        assert.is_true(d <= (own.forward or half.forward), ("%s sample %d output %d, %s: off by %g"):format(name,
          index, i, dtype, d))
      end
      local wanted = on_reference(function()
        return gradients(name, index, sample, "float64", "row", dtype)
      end)
      for i, entry in ipairs(gradients(name, index, sample, dtype, layout)) do
        local want = wanted[i].t.grad
        if want then
          local d = difference(entry.t.grad, want)
          assert.equal(dtype, entry.t.grad.dtype)
          assert.is_true(d <= (own.gradient or half.gradient),
            ("%s sample %d argument %d, %s: gradient off by %g"):format(name, index, entry.at, dtype, d))
        end
      end
    end
  end
end

--- A call with its gradients, recorded with other values and replayed, against the same call run plainly.
local function check_replay(name, index, sample)
  local weights = {}
  local function run(...)
    local args, leaves = { ... }, {}
    for i, a in ipairs(sample.args or sample.list or {}) do
      if S.is(a) and wants_grad(sample, i, a) then
        args[i] = args[i]:detach():requires_grad_(true)
        leaves[#leaves + 1] = args[i]
      end
    end
    local outs, results = call(name, sample, args), {}
    local loss = #leaves > 0 and loss_of(outs, name, index, nil, weights)
    if loss and loss.requires_grad then
      loss:backward()
    end
    for i, y in ipairs(outs) do
      results[i] = y:detach()
    end
    for i, leaf in ipairs(leaves) do
      results["gradient " .. i] = leaf.grad
    end
    return results
  end
  local layouts, n = layouts_of(sample), #(sample.args or sample.list or {})
  local layout = layouts[1 + index % #layouts]
  local args = make_args(name, index, sample, "float32", layout)
  mascon.manual_seed(index)
  local want = run(unpack(args, 1, n))
  local compiled = mascon.compile(run)
  local good, err = pcall(compiled, unpack(make_args(name, index + 1000, sample, "float32", layout), 1, n))
  if not good then
    assert.is_truthy(tostring(err):find("cannot be recorded", 1, true), tostring(err))
    return
  end
  mascon.manual_seed(index)
  local got = compiled(unpack(args, 1, n))
  -- A graph has aligned copies of its arguments, and sums of aligned memory go another way there.
  local allowed = DEVICE and layout == "shifted" and 1e-6 or 0
  for key, y in pairs(want) do
    assert.equal(y.dtype, got[key].dtype)
    assert.is_true(difference(got[key], y) <= allowed, ("%s sample %d, %s: %s differs when replayed"):format(name,
      index, layout, tostring(key)))
  end
  assert.equal(1, #require "mascon.compile".recordings(compiled))
end

local function live_objects()
  collectgarbage()
  collectgarbage()
  local m = mascon.memory(DEVICE)
  return m.tensors, m.nodes, m.live
end

local function check_allocation_failures(name, index, sample)
  local args = make_args(name, index, sample, "float32", "row")
  call(name, sample, args) -- caches are made once
  local tensors, nodes, live = live_objects()
  for n = 1, 50 do
    C.mascon_testing_fail_allocation(-n)
    local good, err = pcall(call, name, sample, args)
    C.mascon_testing_fail_allocation(0)
    if good then
      break
    end
    assert.is_truthy(tostring(err):find("request of a test", 1, true), tostring(err))
    assert.is_true(n < 50)
  end
  local t2, n2, l2 = live_objects()
  assert.same({ tensors, nodes, live }, { t2, n2, l2 })
end

-- The library as an error sample sees it: what it makes lies on the device.
local makers = {}
for name in ("tensor zeros ones full rand randn arange linspace eye empty from randint randperm"):gmatch "%S+" do
  makers[name] = function(...)
    local t = mascon[name](...)
    return t:detach():to(DEVICE):requires_grad_(t.requires_grad)
  end
end
local on_device = setmetatable({}, { __index = function(_, name)
  return makers[name] or mascon[name]
end })

--- Errors that only values show come with the next read.
local function call_case(case)
  if not DEVICE then
    return case.call(mascon)
  end
  case.call(on_device)
  mascon.cuda.synchronize(DEVICE)
end

local function check_error(case)
  local tensors, nodes = live_objects()
  local good, err = pcall(call_case, case)
  assert.is_false(good, "no error; expected: " .. case.message)
  local first = tostring(err):match "^[^\n]*"
  assert.is_truthy(first:find(case.message, 1, true), ("got: %s\nexpected: %s"):format(err, case.message))
  if case.hint then
    assert.is_truthy(tostring(err):find(case.hint, 1, true), ("got: %s\nexpected hint: %s"):format(err,
      case.hint))
  end
  local t2, n2 = live_objects()
  assert.same({ tensors, nodes }, { t2, n2 })
end

local function takes_half(row)
  return bit.band(row.dtypes, 2 ^ C.MASCON_DTYPE_BF16) ~= 0
end

describe("op", function()
  for _, row in ipairs(op.list()) do
    if not row.backward then
      local name = row.name
      describe(name, function()
        local spec = load_spec(name)
        it("has samples", function()
          assert.is_table(spec, "spec/ops/" .. name .. ".lua is missing")
          assert.is_true(#(spec.samples or {}) > 0 or spec.check ~= nil or spec.backward_of ~= nil,
            "no samples and no check")
        end)
        if not spec then
          return
        end
        for index, sample in ipairs(spec.samples or {}) do
          local label = ("%d%s"):format(index, sample.name and " " .. sample.name or "")
          it("computes as the reference: sample " .. label, function()
            check_forward(name, index, sample, spec)
          end)
          it("replays the same: sample " .. label, function()
            check_replay(name, index, sample)
          end)
          if sample.grad ~= false then
            it("has the right gradient: sample " .. label, function()
              if not DEVICE then
                check_differences(name, index, sample)
              end
              check_backends(name, index, sample, spec)
            end)
          end
          if index <= HALF[1].samples and spec.half ~= false and takes_half(row) then
            it("takes 16-bit floats: sample " .. label, function()
              check_half(name, index, sample, spec)
            end)
          end
          if index <= 2 then
            it("survives failing allocations: sample " .. label, function()
              check_allocation_failures(name, index, sample)
            end)
          end
        end
        for index, case in ipairs(spec.errors or {}) do
          it(("refuses bad input %d: %s"):format(index, case.message), function()
            check_error(case)
          end)
        end
        if spec.check then
          it("keeps its promises", function()
            if not DEVICE then
              return spec.check(mascon)
            end
            local good, err = pcall(spec.check, on_device)
            assert.is_true(good, tostring(err))
          end)
        end
      end)
    end
  end
end)
