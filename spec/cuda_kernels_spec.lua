--- Kernels of the CUDA backend at sizes that the samples of spec/ops do not reach: results cut into
-- parts, packs and their tails, memory that is not aligned, lists longer than a table. Everything is
-- compared with the CPU. Needs a device: MASCON_BACKEND_PATH=build/cuda-fake has one without a GPU.

local mascon = require "mascon"
local S = require "spec.support.sample"

local TOLERANCE = { float32 = 2e-5, bfloat16 = 2 ^ -7, float16 = 2 ^ -9 }

local function make(shape, dtype, seed, layout)
  return S.relayout(mascon, S.make(mascon, S.randn(shape), dtype, seed), layout or "row")
end

--- The same values on the device, one element behind the beginning of an allocation.
local function shifted(t)
  local n = t:numel()
  local base = mascon.zeros({ n + 1 }, { dtype = t.dtype, device = "cuda" })
  base:narrow(1, 2, n):copy_(t:reshape(-1):to "cuda")
  return base:narrow(1, 2, n):view(t.shape)
end

local function off_by(a, b)
  a, b = a:to("cpu"):to "float64", b:to "float64"
  if a:numel() == 0 then
    return 0
  end
  local scale = math.max(b:abs():max():item(), 1e-30)
  return (a - b):abs():max():item() / scale
end

local function agree(want, got, dtype, label)
  assert.equal(#want, #got)
  for i, w in ipairs(want) do
    assert.same(w.shape, got[i].shape, label)
    assert.equal(w.dtype, got[i].dtype, label)
    local d = off_by(got[i], w)
    assert.is_true(d <= TOLERANCE[dtype], ("%s: output %d, %s: off by %g"):format(label, i, dtype, d))
  end
end

local function equal(a, b)
  return a:eq(b:to "cpu"):all():item()
end

--- f(inputs...) on the CPU and on the device; with gradients of all inputs for a fixed dy.
local function compare(label, shapes, f, options)
  options = options or {}
  for at, layout in ipairs(options.layouts or { "row" }) do
    -- the packs of 16-bit elements once, in the first layout
    for _, dtype in ipairs(options.dtypes or at == 1 and { "float32", "bfloat16" } or { "float32" }) do
      local sides = { {}, {} }
      for side = 1, 2 do
        local inputs = {}
        for i, shape in ipairs(shapes) do
          local t = make(shape, dtype, 7 * i, layout ~= "shifted" and layout or "row")
          if side == 2 then
            t = layout == "shifted" and shifted(t) or t:to "cuda"
          end
          inputs[i] = t:detach():requires_grad_(options.grad ~= false)
        end
        mascon.manual_seed(5)
        local outs = { f(unpack(inputs)) }
        if options.grad ~= false then
          local dy = make(outs[1].shape, dtype, 99, layout ~= "shifted" and layout or "row")
          outs[1]:backward(side == 2 and dy:to "cuda" or dy)
          for _, t in ipairs(inputs) do
            outs[#outs + 1] = t.grad
          end
        end
        sides[side] = outs
      end
      agree(sides[1], sides[2], dtype, ("%s %s"):format(label, layout))
    end
  end
end

local ALL = { "row", "nhwc", "shifted" }

local suite = mascon.cuda.is_available() and describe or pending

suite("kernels of the cuda backend", function()
  it("reduce rows, columns and whole tensors", function()
    local shapes = { { 40000 }, { 3, 9000 }, { 9000, 3 }, { 33, 700 }, { 2, 64, 12, 16 }, { 1, 8, 1, 5 } }
    for _, shape in ipairs(shapes) do
      for dim = 1, #shape do
        compare("sum " .. table.concat(shape, "x"), { shape }, function(x) return x:sum(dim) end,
          { grad = false, layouts = #shape == 4 and ALL or { "row", "shifted" } })
      end
      for _, name in ipairs { "sum", "mean", "std", "logsumexp", "norm", "max", "argmin" } do
        compare(name .. " " .. table.concat(shape, "x"), { shape }, function(x) return x[name](x) end,
          { grad = false, layouts = #shape == 4 and ALL or { "row" } })
      end
      compare("var", { shape }, function(x) return x:var(#shape) end, { grad = false })
      compare("max", { shape }, function(x) return x:max(1) end, { grad = false })
    end
    compare("sum of two", { { 6, 40, 50, 7 } }, function(x) return x:sum { 1, 3 } end,
      { grad = false, layouts = ALL })
    compare("prod", { { 3, 4, 300 } }, function(x) return (x * 0.01 + 1):prod(3) end)
    for _, dtype in ipairs { "float32", "bfloat16", "float64" } do
      local odd = mascon.tensor({ { 1, math.huge, 3 }, { 1, 2, 4 } }, { dtype = dtype }):cuda()
      assert.same({ true, false }, odd:var(2):isnan():totable()) -- infinity less infinity
      assert.same({ true, false }, odd:std(2):isnan():totable())
    end
  end)

  it("softmax of short and long lines", function()
    for _, shape in ipairs { { 5, 3 }, { 3, 4000 }, { 9, 100 }, { 2, 7, 5, 3 } } do
      for dim = 1, #shape do
        compare("softmax", { shape }, function(x) return x:softmax(dim) end,
          { layouts = #shape == 4 and ALL or { "row", "shifted" } })
        compare("log_softmax", { shape }, function(x) return x:log_softmax(dim) end)
      end
    end
  end)

  it("losses over many rows", function()
    for _, case in ipairs { { 9000, 3 }, { 5, 3000 }, { 3, 5, 20, 30 } } do
      local rows = { case[1], case[3], case[4] }
      local target = S.make(mascon, S.labels(rows, case[2]), nil, 3)
      target:view(-1):narrow(1, 2, 3):fill_(-100)
      local weight = S.make(mascon, S.rand({ case[2] }, 0.5, 2), "float32", 4)
      for _, reduction in ipairs { "mean", "sum", "none" } do
        for _, smoothing in ipairs { 0, 0.1 } do
          compare("cross_entropy", { case }, function(x)
            local t, w = target:to(x.device), weight:to(x.dtype):to(x.device)
            return mascon.cross_entropy(x, t, w, { reduction = reduction, label_smoothing = smoothing })
          end, { layouts = #case == 4 and ALL or { "row" } })
        end
        compare("nll_loss", { case }, function(x)
          return mascon.nll_loss(x, target:to(x.device), { reduction = reduction })
        end, { layouts = #case == 4 and ALL or { "row" } })
      end
    end
    for _, name in ipairs { "mse_loss", "l1_loss", "binary_cross_entropy_with_logits" } do
      compare(name, { { 3, 5, 20, 24 }, { 3, 5, 20, 24 } }, mascon[name], { layouts = ALL })
    end
    compare("weighted", { { 70, 50 }, { 70, 50 } }, function(x, t)
      local w = make({ 50 }, x.dtype, 8):abs():to(x.device)
      local p = make({ 70, 1 }, x.dtype, 9):abs():to(x.device)
      return mascon.binary_cross_entropy_with_logits(x, t, w, p)
    end)
  end)

  it("pools in both memory orders", function()
    for _, shape in ipairs { { 2, 16, 7, 9 }, { 1, 5, 8, 8 } } do
      for _, o in ipairs { { 2 }, { 3, stride = 2, padding = 1 }, { 3, stride = 1, dilation = 2 },
        { 2, stride = 3, ceil_mode = true } } do
        compare("max_pool2d", { shape }, function(x) return mascon.max_pool2d(x, o[1], o) end,
          { layouts = ALL })
        if not o.dilation then
          compare("avg_pool2d", { shape }, function(x) return mascon.avg_pool2d(x, o[1], o) end,
            { layouts = ALL })
        end
      end
      for _, size in ipairs { 1, 3, 5 } do
        compare("adaptive_avg_pool2d", { shape }, function(x)
          return mascon.adaptive_avg_pool2d(x, size)
        end, { layouts = ALL })
      end
    end
    compare("wide windows", { { 1, 4, 40, 40 } }, function(x) return mascon.max_pool2d(x, 20, { stride = 7 }) end,
      { layouts = ALL })
  end)

  it("drops the elements that the CPU drops", function()
    for _, shape in ipairs { { 4099 }, { 2, 16, 5, 4 }, { 3, 7, 5, 5 }, { 1, 1, 3, 3 }, { 2, 3, 1, 1 } } do
      for _, p in ipairs { 0.2, 0.7, 1 } do
        compare("dropout", { shape }, function(x) return mascon.dropout(x, { p = p }) end,
          { layouts = #shape == 4 and ALL or { "row", "shifted" } })
        if #shape == 4 then
          compare("dropout2d", { shape }, function(x) return mascon.dropout2d(x, { p = p }) end,
            { layouts = ALL })
        end
      end
    end
  end)

  it("normalises", function()
    local function parameters(x, n)
      local list = {}
      for i = 1, 4 do
        list[i] = make({ n }, "float32", 20 + i):abs():to(x.device)
      end
      return list
    end
    for _, shape in ipairs { { 600, 5 }, { 4, 16, 20, 20 }, { 5, 3, 7, 5 }, { 2, 600, 3, 3 },
      { 3, 8, 40 } } do
      for _, training in ipairs { true, false } do
        compare("batch_norm " .. table.concat(shape, "x"), { shape }, function(x)
          local p = parameters(x, shape[2])
          local w = p[3]:requires_grad_(true)
          local y = mascon.batch_norm(x + 100, p[1], p[2], w, p[4], { training = training })
          return y, p[1], p[2]
        end, { layouts = #shape == 4 and ALL or { "row", "shifted" }, dtypes = { "float32" } })
      end
      compare("group_norm", { shape }, function(x)
        local groups = shape[2] % 4 == 0 and 4 or 1
        return mascon.group_norm(x, groups)
      end, { layouts = #shape == 4 and ALL or { "row", "shifted" } })
    end
    for _, shape in ipairs { { 700, 8 }, { 9, 100 }, { 3, 5, 768 }, { 2, 5000 }, { 3, 7, 33 } } do
      compare("layer_norm", { shape }, function(x)
        local n = shape[#shape]
        local w = make({ n }, "float32", 31):to(x.device):requires_grad_(true)
        return mascon.layer_norm(x, { n }, w, make({ n }, "float32", 32):to(x.device))
      end, { layouts = { "row", "shifted" } })
    end
  end)

  it("gives norms' parameters their gradients", function()
    for _, shape in ipairs { { 6, 16, 9, 10 }, { 600, 5 }, { 5, 8, 7, 5 } } do
      for _, layout in ipairs(#shape == 4 and { "row", "nhwc" } or { "row" }) do
        for _, name in ipairs { "batch_norm", "group_norm", "layer_norm" } do
          local grads = { {}, {} }
          for side, device in ipairs { "cpu", "cuda" } do
            local x = make(shape, "float32", 3, layout):to(device)
            local n = name == "layer_norm" and shape[#shape] or shape[2]
            local w = make({ n }, "float32", 4):to(device):requires_grad_(true)
            local b = make({ n }, "float32", 5):to(device):requires_grad_(true)
            local y
            if name == "batch_norm" then
              y = mascon.batch_norm(x, nil, nil, w, b, { training = true })
            elseif name == "group_norm" then
              y = mascon.group_norm(x, shape[2] % 4 == 0 and 4 or 5, w, b)
            else
              y = mascon.layer_norm(x, { n }, w, b)
            end
            (y * make(shape, "float32", 6, layout):to(device)):sum():backward()
            grads[side] = { w.grad, b.grad }
          end
          agree(grads[1], grads[2], "float32", name .. " " .. layout)
        end
      end
    end
  end)

  it("steps over lists of parameters", function()
    local shapes = { { 3, 5 }, { 7 }, {}, { 0, 2 }, { 4, 3, 3, 3 }, { 2, 17, 5, 5 }, { 9001 }, { 4096 } }
    local function list_of(n, device, dtype, repeats, mixed)
      local list = {}
      for group = 1, n do
        for k = 1, repeats do
          for i, shape in ipairs(shapes) do
            local t = make(shape, dtype, 100 * group + 10 * k + i,
              mixed and (group == 2 and "row" or "nhwc") or "row")
            list[#list + 1] = (group > 2 and t:abs() or t):to(device)
          end
        end
      end
      return list
    end
    local cases = {
      { "sgd", 2, { lr = 0.1, weight_decay = 0.01, maximize = true } },
      { "sgd", 3, { lr = 0.1, momentum = 0.9, first = true } },
      { "sgd", 3, { lr = 0.1, momentum = 0.9, weight_decay = 0.1, nesterov = true } },
      { "adam", 4, { lr = 0.01, step = 3, weight_decay = 0.1 } },
      { "adam", 5, { lr = 0.01, step = 1, amsgrad = true, decoupled = true, weight_decay = 0.1 } },
      { "rmsprop", 3, { lr = 0.01 } },
      { "rmsprop", 5, { lr = 0.01, momentum = 0.5, centered = true } },
      { "rmsprop", 4, { lr = 0.01, momentum = 0.5 } },
      { "clip_grad_norm", 1, { max_norm = 1 } },
      { "clip_grad_norm", 1, { max_norm = 1e9 } },
      { "clip_grad_norm", 1, { max_norm = 1, norm_type = 1 } },
      { "clip_grad_norm", 1, { max_norm = 0.5, norm_type = math.huge } },
      { "clip_grad_norm", 1, { max_norm = 0.5, norm_type = 3 } },
    }
    for at, case in ipairs(cases) do
      -- mixed memory orders; 16 bits; and at first more positions than one table has rows
      for _, how in ipairs { { "float32", at == 1 and 70 or at % 4 == 0 and 7 or 1 }, { "float32", 1, true },
        { "bfloat16", 1 } } do
        local lists = {}
        for side, device in ipairs { "cpu", "cuda" } do
          local list = list_of(case[2], device, how[1], how[2], how[3])
          local norm = mascon[case[1]](list, case[3])
          list[#list + 1] = norm
          lists[side] = list
        end
        agree(lists[1], lists[2], how[1], case[1])
      end
    end
  end)

  it("sorts long lines", function()
    for _, dtype in ipairs { "float32", "int64", "bool", "float64" } do
      for _, shape in ipairs { { 3, 5000 }, { 2, 2048 }, { 5, 33, 3 }, { 9000, 2 } } do
        local t = S.make(mascon, S.int(shape, -40, 40), nil, 3):to(dtype)
        for dim = 1, #shape do
          for _, descending in ipairs { false, true } do
            local a, i = t:sort(dim, descending)
            local b, j = t:to("cuda"):sort(dim, descending)
            assert.is_true(equal(a, b) and equal(i, j), dtype)
          end
          local a, i = t:topk(2, dim)
          local b, j = t:to("cuda"):topk(2, dim)
          assert.is_true(equal(a, b) and equal(i, j), dtype)
        end
      end
    end
    local t = mascon.tensor { 0 / 0, 1, -0.0, 0, -math.huge, math.huge, 0 / 0, -1 }
    for _, descending in ipairs { false, true } do
      local _, i = t:sort(1, descending)
      local _, j = t:to("cuda"):sort(1, descending)
      assert.is_true(equal(i, j))
    end
  end)

  it("sums more channels than there are counters, and very many rows", function()
    local x = make({ 3, 140001 }, "float32", 1)
    local running = { mascon.zeros { 140001 }, mascon.ones { 140001 } }
    local there = { running[1]:to "cuda", running[2]:to "cuda" }
    agree({ mascon.batch_norm(x, running[1], running[2], { training = true }), running[1], running[2] },
      { mascon.batch_norm(x:to "cuda", there[1], there[2], { training = true }), there[1], there[2] },
      "float32", "batch_norm")
    --- The gradient of a bias; that of the weight is the library's business.
    local function bias_gradient(f, shapes, device)
      local inputs = {}
      for i, shape in ipairs(shapes) do
        inputs[i] = make(shape, "float32", i, "nhwc"):to(device):detach()
      end
      inputs[3]:requires_grad_(true)
      local y = f(unpack(inputs))
      y:backward(make(y.shape, "float32", 5):to(device))
      return inputs[3].grad
    end
    for _, case in ipairs {
      { mascon.conv2d, { { 1, 1, 459, 460 }, { 3, 1, 1, 1 }, { 3 } } },
      { mascon.linear, { { 200003, 2 }, { 1, 2 }, { 1 } } },
    } do
      agree({ bias_gradient(case[1], case[2], "cpu") }, { bias_gradient(case[1], case[2], "cuda") }, "float32",
        "bias of " .. #case[2][1])
    end
  end)

  it("trains fused blocks as the CPU does", function()
    local nn = mascon.nn
    local function block(from, to)
      return nn.Sequential(nn.Conv2d(from, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to),
        nn.Conv2d(to, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to), nn.MaxPool2d(2),
        nn.Dropout(0.25))
    end
    local function trained(device)
      mascon.manual_seed(3)
      local model = nn.Sequential(block(3, 16), block(16, 16), nn.Flatten(), nn.Linear(64, 5)):to(device)
      local x = make({ 4, 3, 8, 8 }, "float32", 2, "nhwc"):to(device)
      local results = {}
      for _ = 1, 2 do
        local loss = mascon.cross_entropy(model(x), mascon.tensor({ 1, 5, 2, 3 }, { dtype = "int64" }):to(device))
        loss:backward()
        results[#results + 1] = loss:detach()
      end
      for _, p in ipairs(model:parameters()) do
        results[#results + 1] = p.grad
      end
      for _, b in pairs(model:state_dict()) do
        results.sum = (results.sum or 0) + b:to "float64":cpu():sum():item()
      end
      return results
    end
    mascon.set_float32_precision "highest"
    local want, got = trained "cpu", trained "cuda"
    mascon.set_float32_precision "tf32"
    for i, w in ipairs(want) do
      local d = (got[i]:cpu() - w):abs():max():item()
      assert.is_true(d <= 1e-4 * math.max(1, w:abs():max():item()), ("result %d: off by %g"):format(i, d))
    end
    assert.is_true(math.abs(want.sum - got.sum) <= 1e-3 * math.max(1, math.abs(want.sum)))
  end)

  it("gives the same bits twice", function()
    local x = make({ 16, 24, 20, 20 }, "float32", 1, "nhwc"):to "cuda"
    for _, f in ipairs {
      function() return x:sum() end,
      function() return x:std { 1, 3, 4 } end,
      function() return mascon.batch_norm(x, { training = true }) end,
      function() return mascon.clip_grad_norm({ x:clone() }, { max_norm = 1 }) end,
    } do
      assert.is_true(equal(f():to "cpu", f()))
    end
  end)
end)
