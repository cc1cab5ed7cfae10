--- mascon.autocast: which type each kind of op gets, gradients of float32 weights, twins of weights, and
--- the mode itself.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local nn = mascon.nn
local F = require "mascon.nn.functional"

local C = layer.C

local function cast(fn, ...)
  return mascon.autocast("bfloat16", fn, ...)
end

local function fails(text, hint, fn)
  local good, err = pcall(fn)
  assert.is_false(good)
  assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
  if hint then
    assert.is_truthy(tostring(err):find(hint, 1, true), tostring(err))
  end
end

local function live()
  collectgarbage()
  collectgarbage()
  local m = mascon.memory()
  return { m.tensors, m.nodes, m.live }
end

describe("autocast", function()
  it("lowers products and convolutions", function()
    cast(function()
      local x, w = mascon.randn { 2, 3, 8, 8 }, mascon.randn { 4, 3, 3, 3 }
      assert.equal("bfloat16", F.conv2d(x, w).dtype)
      assert.equal("bfloat16", F.conv_transpose2d(x, mascon.randn { 3, 4, 2, 2 }).dtype)
      assert.equal("bfloat16", F.linear(x, mascon.randn { 5, 8 }, mascon.randn { 5 }).dtype)
      assert.equal("bfloat16", (mascon.randn { 2, 3 }:matmul(mascon.randn { 3, 2 })).dtype)
      assert.equal("bfloat16", (mascon.randn { 2, 3 }:to "bfloat16":matmul(mascon.randn { 3, 2 })).dtype)
      assert.equal("float64", (mascon.eye(2, { dtype = "float64" }):matmul(
        mascon.eye(2, { dtype = "float64" }))).dtype)
      assert.equal("int64", (mascon.eye(2, { dtype = "int64" }):matmul(mascon.eye(2, { dtype = "int64" }))).dtype)
    end)
  end)

  it("raises what needs digits", function()
    local x = (mascon.rand { 3, 4 } + 1):to "bfloat16"
    local t = mascon.tensor({ 1, 2, 4 }, { dtype = "int64" })
    cast(function()
      for _, name in ipairs { "exp", "log", "log1p", "expm1", "rsqrt", "reciprocal", "softplus", "sum",
        "prod", "logsumexp", "norm" } do
        assert.equal("float32", mascon[name](x).dtype, name)
      end
      assert.equal("float32", (x ^ 2).dtype)
      assert.equal("float32", mascon.cumsum(x, 1).dtype)
      assert.equal("float32", F.softmax(x, 2).dtype)
      assert.equal("float32", F.log_softmax(x, 2).dtype)
      assert.equal("float32", F.cross_entropy(x, t).dtype)
      assert.equal("float32", F.nll_loss(x, t).dtype)
      assert.equal("float32", F.mse_loss(x, x + 1).dtype)
      assert.equal("float32", F.l1_loss(x, mascon.zeros { 3, 4 }).dtype)
      assert.equal("float32", F.binary_cross_entropy_with_logits(x, mascon.zeros { 3, 4 }).dtype)
    end)
    assert.equal("bfloat16", mascon.exp(x).dtype)
  end)

  it("leaves the others, and takes the widest of several", function()
    local x, y = mascon.randn { 2, 3 }:to "bfloat16", mascon.randn { 2, 3 }
    cast(function()
      assert.equal("bfloat16", x:relu().dtype)
      assert.equal("float32", y:relu().dtype)
      assert.equal("bfloat16", x:mean().dtype)
      assert.equal("float32", (x + y).dtype)
      local joined = mascon.cat { x, y }
      assert.equal("float32", joined.dtype)
      assert.equal(y:select(1, 1):totable()[1], joined:select(1, 3):totable()[1])
      assert.equal("bfloat16", mascon.cat { x, x }.dtype)
      local bn = nn.BatchNorm1d(3)
      assert.equal("bfloat16", bn(x).dtype)
      assert.equal("bfloat16", nn.LayerNorm(3)(x).dtype)
    end)
    assert.has_error(function() mascon.cat { x, y } end)
  end)

  it("does not touch a tensor that is written in place", function()
    local x = mascon.ones({ 3 }, { dtype = "bfloat16" })
    cast(function() x:exp_() end)
    assert.equal("bfloat16", x.dtype)
  end)

  it("gives gradients in the type of what they belong to", function()
    mascon.manual_seed(1)
    local net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 4))
    local x = mascon.randn { 4, 3, 8, 8 }
    local t = mascon.tensor({ 1, 2, 3, 4 }, { dtype = "int64" })
    F.cross_entropy(net(x), t):backward()
    local exact = {}
    for name, p in net:named_parameters() do
      exact[name] = p.grad
      p.grad = nil
    end
    local loss = cast(function() return F.cross_entropy(net(x), t) end)
    assert.equal("float32", loss.dtype)
    loss:backward()
    for name, p in net:named_parameters() do
      assert.equal("float32", p.dtype)
      assert.equal("float32", p.grad.dtype)
      local scale = exact[name]:abs():max():item()
      local off = (p.grad - exact[name]):abs():max():item()
      assert.is_true(off <= 0.15 * scale + 1e-6, ("%s is off by %g of %g"):format(name, off, scale))
      assert.is_true(off > 0, name)
    end
  end)

  it("passes gradients through the joined list", function()
    local x = mascon.randn { 2, 3 }:to "bfloat16":requires_grad_(true)
    local y = mascon.randn({ 2, 3 }, { requires_grad = true })
    cast(function() return mascon.cat({ x, y }):mul(2):sum() end):backward()
    assert.equal("bfloat16", x.grad.dtype)
    assert.equal("float32", y.grad.dtype)
    assert.same({ 2, 2, 2, 2, 2, 2 }, x.grad:flatten():totable())
  end)

  it("makes the copy of a weight once per version", function()
    local w = mascon.randn({ 5, 4 }, { requires_grad = true })
    local x = mascon.randn { 3, 4 }
    local function casts(fn)
      C.mascon_profile(1)
      fn()
      C.mascon_profile(0)
      local numbers = layer.new("int64_t[?]", C.MASCON_PROFILE_COUNT)
      C.mascon_profile_row(C.mascon_op_find "cast", numbers, nil)
      return tonumber(numbers[0])
    end
    local half = x:to "bfloat16"
    local function run()
      return cast(function() return F.linear(half, w) end)
    end
    local first
    local once = casts(function() first = run() end)
    local again = casts(function() assert.same(first:totable(), run():totable()) end)
    assert.equal(once - 1, again) -- where a call is widened it makes casts of its own
    mascon.no_grad(function() w:mul_(2) end)
    local double = run()
    assert.same((first * 2):totable(), double:totable())
    local other = w:detach():clone() -- a storage of its own has a copy of its own
    assert.same(double:totable(), cast(function() return F.linear(half, other) end):totable())
    -- an old copy that a graph still holds is not overwritten
    local y = run()
    mascon.no_grad(function() w:zero_() end)
    run()
    w.grad = nil
    y:sum():backward()
    assert.is_truthy(w.grad)
    -- memory of the host may change unseen: it gets none
    local blob = layer.new("float[4]", { 1, 2, 3, 4 })
    local foreign = mascon.from_blob(blob, { 1, 4 }, "float32")
    local ones = mascon.ones({ 1, 4 }, { dtype = "bfloat16" })
    assert.equal(10, cast(function() return F.linear(ones, foreign):item() end))
    blob[0] = 7
    assert.equal(16, cast(function() return F.linear(ones, foreign):item() end))
  end)

  it("frees the copies with their weights", function()
    local before = live()
    do
      local w = mascon.randn({ 50, 40 }, { requires_grad = true })
      cast(function() return F.linear(mascon.randn { 3, 40 }, w):sum() end):backward()
      w:release()
    end
    assert.same(before, live())
  end)

  it("survives failing allocations", function()
    local w = mascon.randn({ 6, 4 }, { requires_grad = true })
    local x, y = mascon.randn { 3, 4 }, mascon.randn { 3, 4 }:to "bfloat16"
    local function run()
      return cast(function() return F.linear(mascon.cat { x, y }, w) end)
    end
    local want = run():totable()
    local before = live()
    for n = 1, 60 do
      mascon.no_grad(function() w:add_(0) end) -- a new version: the copy is made again
      C.mascon_testing_fail_allocation(-n)
      local good, err = pcall(run)
      C.mascon_testing_fail_allocation(0)
      if good then
        assert.is_true(n > 3)
        break
      end
      assert.is_truthy(tostring(err):find("request of a test", 1, true), tostring(err))
      assert.is_true(n < 60)
    end
    assert.same(want, run():totable())
    assert.same(before, live())
  end)

  it("nests, is switched off inside, and ends with its function", function()
    local x = mascon.randn { 2, 2 }
    local function product() return x:matmul(x).dtype end
    assert.is_false(mascon.is_autocast_enabled())
    local a, b = mascon.autocast("bfloat16", function(p, q)
      assert.is_true(mascon.is_autocast_enabled())
      assert.equal("bfloat16", product())
      mascon.autocast("bfloat16", { enabled = false }, function()
        assert.equal("float32", product())
        mascon.no_grad(function() assert.equal("float32", product()) end)
        cast(function() assert.equal("bfloat16", product()) end)
        assert.equal("float32", product())
      end)
      assert.equal("bfloat16", product())
      return q, p
    end, 1, 2)
    assert.same({ 2, 1 }, { a, b })
    assert.equal("float32", product())
    fails("inner trouble", nil, function() cast(function() error "inner trouble" end) end)
    assert.equal("float32", product())
    assert.is_false(mascon.is_autocast_enabled())
    local co = coroutine.wrap(function()
      cast(function() coroutine.yield() end)
    end)
    fails("autocast: the function given to it must not yield", nil, co)
    assert.is_false(mascon.is_autocast_enabled())
  end)

  it("refuses what it does not offer", function()
    local function nothing() end
    fails("autocast: float16 is not offered", 'mascon.autocast("bfloat16", fn)', function()
      mascon.autocast("float16", nothing)
    end)
    fails('autocast: dtype is "float32"; expected "bfloat16"', nil, function()
      mascon.autocast("float32", nothing)
    end)
    fails("autocast: argument 2 is nil; expected a function", nil, function() mascon.autocast "bfloat16" end)
    fails("autocast", nil, function() mascon.autocast("bfloat16", { enable = false }, nothing) end)
    fails("autocast: enabled", nil, function() mascon.autocast("bfloat16", { enabled = 1 }, nothing) end)
  end)

  it("computes the same bits for any number of threads", function()
    local before = mascon.get_num_threads()
    local results = {}
    for i, threads in ipairs { 1, 2, 3 } do
      mascon.set_num_threads(threads)
      mascon.manual_seed(4)
      local w = mascon.randn({ 64, 32, 3, 3 }, { requires_grad = true })
      local x = mascon.randn({ 9, 32, 12, 12 }, { requires_grad = true })
      cast(function() return F.conv2d(x, w, { padding = 1 }):sum() end):backward()
      results[i] = { w.grad, x.grad }
    end
    mascon.set_num_threads(before)
    for i = 2, 3 do
      for k = 1, 2 do
        assert.is_true(mascon.allclose(results[i][k], results[1][k], { rtol = 0, atol = 0 }))
      end
    end
  end)
end)
