--- mascon.compile: steps recorded once and replayed are the steps run plainly, bit for bit; what changes
--- between calls is followed or recorded anew; what cannot be recorded is refused and leaves nothing behind.

local mascon = require "mascon"
local compile = require "mascon.compile"
local layer = require "mascon.ffi"
local output = require "mascon.output"
local random = require "mascon.random"
local nn, optim, F = mascon.nn, mascon.optim, mascon.nn.functional
local DEVICE = os.getenv "MASCON_TEST_DEVICE"
DEVICE = DEVICE ~= "" and DEVICE or "cpu"

local function lines_of(t)
  return table.concat(t:detach():to("float64"):cpu():reshape(-1):totable(), " ")
end

local function assert_same(want, got, what)
  assert.equal(want.dtype, got.dtype, what)
  assert.same(want.shape, got.shape, what)
  assert.equal(lines_of(want), lines_of(got), what)
end

local function fails_with(text, fn, ...)
  local good, err = pcall(fn, ...)
  assert.is_false(good, "no error; expected: " .. text)
  assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
  return tostring(err)
end

local function recordings(compiled)
  return #compile.recordings(compiled)
end

-- Networks in small: the lecture's two.
local function simple()
  return nn.Sequential(nn.Conv2d(3, 6, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(6 * 8 * 8, 10))
end

local function custom()
  return nn.Sequential(
    nn.Conv2d(3, 8, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(8),
    nn.Conv2d(8, 8, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Dropout(0.25),
    nn.Flatten(), nn.Linear(8 * 8 * 8, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 10))
end

local function batch(n)
  return mascon.randn(n, 3, 16, 16):to(DEVICE), mascon.randint(1, 10, { n }):to(DEVICE)
end

--- Trains a net for 20 steps, the ninth with another batch size; returns losses, net and optimizer.
local function train(make, make_optimizer, given, compiled)
  mascon.manual_seed(3)
  local net = make():to(DEVICE)
  local optimizer = make_optimizer(net:parameters())
  local scheduler = optim.lr_scheduler.StepLR(optimizer, { step_size = 6, gamma = 0.5 })
  local function forward(x, y)
    return F.cross_entropy(net(x), y)
  end
  local function step(x, y)
    optimizer:zero_grad()
    local loss = given.half and mascon.autocast("bfloat16", forward, x, y) or forward(x, y)
    loss:backward()
    local norm = given.clip and nn.utils.clip_grad_norm_(net:parameters(), 0.5)
    optimizer:step()
    return loss, norm or nil
  end
  if compiled then
    step = mascon.compile(step)
  end
  local seen = {}
  for i = 1, 20 do
    local loss, norm = step(batch(i == 9 and 3 or 6))
    seen[#seen + 1] = lines_of(loss) .. (norm and " " .. lines_of(norm) or "")
    scheduler:step()
  end
  return seen, net, optimizer, step
end

local function compare(make, make_optimizer, given)
  local want, net, optimizer = train(make, make_optimizer, given, false)
  local state = random.get_state()
  local got, twin, other, step = train(make, make_optimizer, given, true)
  assert.same(want, got)
  assert.equal(2, recordings(step))
  assert.same(state, random.get_state())
  local of_twin = twin:state_dict()
  for name, t in pairs(net:state_dict()) do
    assert_same(t, of_twin[name], name)
  end
  local a, b = optimizer:state_dict(), other:state_dict()
  for i, entry in pairs(a.state) do
    for name, v in pairs(entry) do
      if layer.is_tensor(v) then
        assert_same(v, b.state[i][name], name)
      else
        assert.equal(v, b.state[i][name], name)
      end
    end
  end
  assert.equal(optimizer.lr, other.lr)
  assert.equal(optimizer.steps_taken, other.steps_taken)
end

local function adam(params)
  return optim.Adam(params, { lr = 1e-2 })
end

local function momentum(params)
  return optim.SGD(params, { lr = 0.05, momentum = 0.9, weight_decay = 1e-3 })
end

local function rmsprop(params)
  return optim.RMSprop(params, { lr = 1e-3, momentum = 0.5, centered = true })
end

describe("a compiled training step", function()
  it("of a small network equals the plain one: Adam", function()
    compare(simple, adam, {})
  end)

  it("of a network with batch norm and dropout: SGD, norm of the gradients limited", function()
    compare(custom, momentum, { clip = true })
  end)

  it("of the same: RMSprop, AMSGrad", function()
    compare(custom, rmsprop, {})
    compare(simple, function(params)
      return optim.AdamW(params, { amsgrad = true })
    end, {})
  end)

  it("under autocast", function()
    compare(custom, adam, { half = true, clip = true })
  end)

  it("is recorded once, and every tenth call again under MASCON_DEBUG=replay", function()
    local before = compile.debug(true)
    local good, err = pcall(compare, custom, adam, { half = true })
    compile.debug(before)
    assert.is_true(good, tostring(err))
  end)

  it("follows what changes between calls: options of the optimizer, weights written by hand", function()
    local function run(compiled)
      mascon.manual_seed(4)
      local net = simple():to(DEVICE)
      local optimizer = optim.Adam(net:parameters(), { lr = 1e-2 })
      local function step(x, y)
        local loss = F.cross_entropy(net(x), y)
        optimizer:zero_grad()
        loss:backward()
        optimizer:step()
        return loss
      end
      step = compiled and mascon.compile(step) or step
      local seen = {}
      for i = 1, 8 do
        if i == 3 then
          optimizer.lr = 1e-3
        elseif i == 4 then
          optimizer.param_groups[1].betas = { 0.5, 0.99 } -- as OneCycleLR does
        elseif i == 5 then
          mascon.no_grad(function() net[1].weight:mul_(0.5) end)
        elseif i == 6 then
          optimizer:load_state_dict(optimizer:state_dict())
        elseif i == 7 then
          net[5]:requires_grad_(false)
        end
        seen[i] = lines_of(step(batch(4)))
      end
      return seen, step
    end
    local want = run(false)
    local got = run(true)
    assert.same(want, got)
  end)

  it("accumulates gradients over calls where nothing clears them", function()
    local function run(compiled)
      mascon.manual_seed(5)
      local net = simple():to(DEVICE)
      local optimizer = momentum(net:parameters())
      local function part(x, y)
        local loss = F.cross_entropy(net(x), y)
        loss:backward()
        return loss
      end
      local function finish()
        optimizer:step()
      end
      if compiled then
        part, finish = mascon.compile(part), mascon.compile(finish)
      end
      for _ = 1, 4 do
        optimizer:zero_grad()
        for _ = 1, 3 do
          part(batch(4))
        end
        finish()
      end
      return net, part
    end
    local a = run(false)
    local b, part = run(true)
    for name, t in pairs(a:state_dict()) do
      assert_same(t, b:state_dict()[name], name)
    end
    for i, p in ipairs(a:parameters()) do
      assert_same(p.grad, b:parameters()[i].grad)
    end
    assert.is_true(recordings(part) <= 3)
  end)

  it("leaves gradients that can be read, and that plain code can go on with", function()
    local w = mascon.ones({ 3 }, { device = DEVICE }):requires_grad_(true)
    local step = mascon.compile(function(x)
      w.grad = nil
      local y = (w * x):sum()
      y:backward()
      return y
    end)
    local function x(v)
      return mascon.full({ 3 }, v):to(DEVICE)
    end
    for v = 1, 4 do
      assert.equal(3 * v, step(x(v)):item())
      assert.same({ v, v, v }, w.grad:totable())
    end
    (w * x(2)):sum():backward()
    assert.same({ 6, 6, 6 }, w.grad:totable())
    w.grad = nil
    assert.equal(15, step(x(5)):item())
    assert.same({ 5, 5, 5 }, w.grad:totable())
    assert.equal(1, recordings(step))
  end)
end)

describe("a compiled function", function()
  it("follows train() and eval(), no_grad and the types of its arguments", function()
    mascon.manual_seed(6)
    local net = custom():to(DEVICE)
    local f = mascon.compile(function(x)
      return net(x):detach()
    end)
    local function check(x)
      mascon.manual_seed(9)
      local got = f(x)
      mascon.manual_seed(9)
      local statistics = net[3].running_mean:clone()
      assert_same(net(x), got)
      net[3].running_mean:copy_(statistics)
    end
    for _ = 1, 2 do
      net:train()
      check(batch(4))
      net:eval()
      check(batch(4))
      check((batch(2)))
      mascon.no_grad(check, (batch(4)))
    end
    assert.equal(4, recordings(f))
  end)

  it("gives fresh results that the next call does not change", function()
    local f = mascon.compile(function(x) return x * 2, { half = x / 2, name = "n", list = { x + 1 } }, nil, 7 end)
    local x1, x2 = mascon.tensor({ 1, 2 }):to(DEVICE), mascon.tensor({ 3, 4 }):to(DEVICE)
    local a, ta = f(x1)
    local b, tb, none, seven = f(x2)
    assert.same({ { 2, 4 }, { 6, 8 } }, { a:totable(), b:totable() })
    assert.same({ { 0.5, 1 }, { 1.5, 2 } }, { ta.half:totable(), tb.half:totable() })
    assert.same({ { 2, 3 }, { 4, 5 } }, { ta.list[1]:totable(), tb.list[1]:totable() })
    assert.same({ "n", 7 }, { tb.name, seven })
    assert.is_nil(none)
    assert.equal(1, recordings(f))
  end)

  it("takes views and the same tensor twice as arguments", function()
    local f = mascon.compile(function(x, y) return x:t():matmul(y) end)
    local all = mascon.arange(0, 24):reshape(4, 6):to("float32"):to(DEVICE)
    for i = 1, 3 do
      local x = all:narrow(2, i, 3)
      assert_same(x:t():matmul(x), f(x, x))
    end
    assert.equal(DEVICE == "cpu" and 1 or 3, recordings(f)) -- a graph keeps to one alignment
  end)

  it("records values that are no tensors as constants", function()
    local runs = 0
    local f = mascon.compile(function(x, k, name, on)
      runs = runs + 1
      return on and x * k or x + #name
    end)
    local x = mascon.tensor({ 1, 2 }):to(DEVICE)
    for _ = 1, 3 do
      assert.same({ 3, 6 }, f(x, 3, "ab", true):totable())
      assert.same({ 4, 8 }, f(x, 4, "ab", true):totable())
      assert.same({ 3, 4 }, f(x, 4, "ab", false):totable())
      assert.same({ 4, 5 }, f(x, 4, "abc"):totable())
    end
    assert.equal(4, runs)
    for _ = 1, 3 do
      assert.is_true(f(x, 0 / 0, "ab", true):isnan():all():item())
    end
    assert.equal(5, runs)
  end)

  it("keeps eight recordings and says once what keeps changing", function()
    local before, text = output.stderr, ""
    output.stderr = { write = function(_, s) text = text .. s end }
    local f = mascon.compile(function(x) return x + 1 end)
    local good, err = pcall(function()
      for n = 1, 12 do
        f(mascon.zeros(n))
      end
    end)
    output.stderr = before
    assert.is_true(good, tostring(err))
    assert.equal(8, recordings(f))
    local _, count = text:gsub("what keeps changing: shape", "")
    assert.equal(1, count, text)
  end)

  it("uses values that Lua gives inside as they were, and restores those that it changes", function()
    local f = mascon.compile(function(x)
      local total = mascon.tensor({ 10, 20 }):to(x.dtype)
      local seen = total * 1
      total:add_(x)
      total:add_(x)
      return total, seen
    end)
    for _ = 1, 3 do
      local total, seen = f(mascon.tensor { 1, 2 })
      assert.same({ 12, 24 }, total:totable())
      assert.same({ 10, 20 }, seen:totable())
    end
  end)

  it("changes tensors from outside, each time", function()
    local count = mascon.zeros({ 1 }, { device = DEVICE })
    local f = mascon.compile(function(x) count:add_(x) end)
    for _ = 1, 4 do
      f(mascon.ones({ 1 }, { device = DEVICE }))
    end
    assert.equal(4, count:item())
    count:zero_()
    f(mascon.ones({ 1 }, { device = DEVICE }))
    assert.equal(1, count:item())
  end)

  it("sees another layer or another option in the place of one", function()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Softplus())
    local f = mascon.compile(function(x) return net(x):detach() end)
    local x = mascon.randn(3, 2)
    local box = nn.Sequential(net)
    assert_same(net(x), f(x))
    net[1].weight = nn.Parameter(mascon.ones(2, 2))
    assert_same(net(x), f(x))
    net:to "float64"
    assert_same(net(x:to "float64"), f(x:to "float64"))
    assert.is_truthy(box)
  end)

  it("drops what nobody uses and packs its memory", function()
    local f = mascon.compile(function(x)
      local unused = x:exp():sum()
      local y = x
      for _ = 1, 10 do
        y = y + 1
      end
      return y, unused and nil
    end)
    local x = mascon.zeros({ 100 }, { device = DEVICE })
    f(x)
    assert.same({ 10, 2 }, { compile.recordings(f)[1].steps, compile.recordings(f)[1].dropped })
    assert.is_true(compile.recordings(f)[1].arena <= 3 * 448, compile.recordings(f)[1].arena)
    assert.equal(10, f(x):mean():item())
    assert.equal(DEVICE == "cpu" and 0 or 1, compile.recordings(f)[1].graph)
  end)
end)

describe("a recording refuses", function()
  local x = mascon.ones({ 3 }, { device = DEVICE })

  it("what Lua would read, with operation and line", function()
    local message = fails_with("reading its values cannot be recorded", mascon.compile(function(t)
      return (t * 2):sum():item()
    end), x)
    assert.is_truthy(message:find("compile_spec.lua:%d+: item"), message)
    for _, read in ipairs { function(t) return t:totable() end, function(t) return tostring(t + 1) end,
      function(t) return t[1]:item() end } do
      fails_with("cannot be recorded", mascon.compile(read), x)
    end
  end)

  it("sizes that depend on values, in-place changes of arguments, host writes", function()
    -- on a device the count is read first
    fails_with(DEVICE == "cpu" and "an operation whose result has a size that depends on values cannot be recorded"
      or "reading its values cannot be recorded", mascon.compile(function(t) return t:masked_select(t:gt(0)) end), x)
    fails_with("an in-place change of an argument cannot be recorded", mascon.compile(function(t) t:add_(1) end), x)
    local outside = mascon.zeros(3)
    fails_with("cannot be recorded", mascon.compile(function() outside:data_ptr()[0] = 1 end))
  end)

  it("backward functions in Lua, and graphs from before", function()
    local Twice = mascon.Function:extend "Twice"
    function Twice.forward(_, t) return t * 2 end
    function Twice.backward(_, dy) return dy * 2 end
    local w = mascon.ones({ 3 }, { device = DEVICE }):requires_grad_(true)
    fails_with("a function with a backward in Lua cannot be recorded", mascon.compile(function(t)
      return Twice(w * t):sum()
    end), x)
    local h = (w * 2):sum()
    fails_with("a backward through operations from before the recording", mascon.compile(function()
      h:backward()
    end))
  end)

  it("results that take part in a graph, arguments that require a gradient, other kinds of values", function()
    local w = mascon.ones({ 3 }, { device = DEVICE }):requires_grad_(true)
    fails_with("takes part in a graph", mascon.compile(function(t) return w * t end), x)
    fails_with("argument 1 of the compiled function requires a gradient", mascon.compile(function(t) return t end), w)
    fails_with("argument 2 of the compiled function is a table", mascon.compile(function(t) return t end), x, {})
    fails_with("result 1 is a function", mascon.compile(function() return print end))
  end)

  it("schedules and a new learning rate", function()
    local optimizer = momentum(simple():parameters())
    local scheduler = optim.lr_scheduler.StepLR(optimizer, { step_size = 1 })
    fails_with("a step of a scheduler cannot be recorded", mascon.compile(function() scheduler:step() end))
    fails_with("a change of lr cannot be recorded", mascon.compile(function() optimizer.lr = 1 end))
  end)

  it("and stays usable", function()
    local refuse = true
    local f = mascon.compile(function(t)
      local y = t * 3
      return refuse and y:sum():item() or y
    end)
    fails_with("cannot be recorded", f, x)
    refuse = false
    assert.same({ 3, 3, 3 }, f(x):totable())
    assert.same({ 3, 3, 3 }, f(x):totable())
    assert.equal(6, (x * 2):sum():item())
    fails_with("boom", mascon.compile(function() error "boom" end))
    assert.equal(6, (x * 2):sum():item())
  end)
end)

describe("a replay", function()
  it("allocates nothing but its results", function()
    mascon.manual_seed(8)
    local net = custom():to(DEVICE)
    local optimizer = adam(net:parameters())
    local step = mascon.compile(function(x, y)
      optimizer:zero_grad()
      local loss = F.cross_entropy(net(x), y)
      loss:backward()
      optimizer:step()
      return loss
    end)
    local x, y = batch(6)
    step(x, y)
    collectgarbage()
    collectgarbage()
    local before = mascon.memory(DEVICE)
    for _ = 1, DEVICE == "cpu" and 1000 or 20 do
      step(x, y)
    end
    collectgarbage()
    collectgarbage()
    local after = mascon.memory(DEVICE)
    assert.equal(before.live, after.live)
    assert.equal(before.tensors, after.tensors)
    assert.equal(before.nodes, after.nodes)
    assert.equal(1, recordings(step))
  end)

  it("gives everything back when the function is dropped", function()
    local function live()
      collectgarbage()
      collectgarbage()
      local m = mascon.memory(DEVICE)
      return { m.tensors, m.nodes, m.live }
    end
    local x, y = batch(6)
    local before = live()
    local function work()
      local net = custom():to(DEVICE)
      local step = mascon.compile(function(a, b)
        local loss = F.cross_entropy(net(a), b)
        loss:backward()
        return loss
      end)
      step(x, y)
      net:zero_grad()
      step(x, y)
    end
    work()
    assert.same(before, live())
  end)

  it("survives what happens around it: collections, discarded handles, an outer scope", function()
    local f = mascon.compile(function(x)
      return mascon.scope(function()
        local y = x * 2
        collectgarbage()
        return y + 1
      end)
    end)
    local x = mascon.ones({ 4 }, { device = DEVICE })
    local kept
    mascon.scope(function()
      for _ = 1, 3 do
        kept = mascon.keep(f(x))
        collectgarbage()
      end
    end)
    assert.same({ 3, 3, 3, 3 }, kept:totable())
  end)

  it("asks for memory before it runs anything", function()
    local count = mascon.zeros({ 1 }, { device = DEVICE })
    local f = mascon.compile(function(x)
      count:add_(1)
      return x * 2
    end)
    local x = mascon.ones({ 2 }, { device = DEVICE })
    f(x)
    layer.C.mascon_testing_fail_allocation(1)
    assert.same({ 2, 2 }, f(x):totable()) -- the collector has run, and the second attempt has memory
    layer.C.mascon_testing_fail_allocation(-1)
    local good, err = pcall(f, x)
    layer.C.mascon_testing_fail_allocation(0)
    assert.is_false(good)
    assert.is_truthy(tostring(err):find("request of a test", 1, true), tostring(err))
    assert.equal(2, count:item())
  end)

  it("raises the sentence of a step that fails", function()
    local f = mascon.compile(function(x, y) return F.cross_entropy(x, y) end)
    local x = mascon.zeros({ 2, 3 }, { device = DEVICE })
    f(x, mascon.tensor({ 1, 2 }, { dtype = "int64" }):to(DEVICE))
    fails_with("cross_entropy: target 2 of 2 is 4; classes run 1..3", function()
      f(x, mascon.tensor({ 1, 4 }, { dtype = "int64" }):to(DEVICE))
      if DEVICE ~= "cpu" then
        mascon.cuda.synchronize(DEVICE)
      end
    end)
  end)

  it("ends at an interrupt, and goes on afterwards", function()
    local f = mascon.compile(function(x) return x * 2 end)
    local x = mascon.ones({ 2 }, { device = DEVICE })
    f(x)
    layer.C.mascon_interrupt()
    fails_with("interrupted", f, x)
    assert.same({ 2, 2 }, f(x):totable())
  end)

  it("is seen by the profile", function()
    local f = mascon.compile(function(x) return (x * 2):exp() end)
    local x = mascon.ones({ 2 }, { device = DEVICE })
    f(x)
    local profile = tostring(mascon.profile(function() f(x) end))
    assert.is_truthy(profile:find(DEVICE == "cpu" and "exp" or "copy", 1, true), profile)
  end)

  it("runs plainly inside another recording", function()
    local inner = mascon.compile(function(x) return x * 2 end)
    local outer = mascon.compile(function(x) return inner(x) + 1 end)
    local x = mascon.ones({ 2 }, { device = DEVICE })
    for _ = 1, 3 do
      assert.same({ 3, 3 }, outer(x):totable())
    end
    assert.equal(0, recordings(inner))
  end)

  it("is checked under MASCON_DEBUG=replay: a number that Lua changes is named", function()
    local p = 0.1
    local f = mascon.compile(function(x) return F.dropout(x, { p = p }) end)
    local x = mascon.ones({ 8 }, { device = DEVICE })
    local before = compile.debug(true)
    local good, err = pcall(function()
      f(x)
      p = 0.2
      for _ = 1, 10 do
        f(x)
      end
    end)
    compile.debug(before)
    assert.is_false(good)
    local message = "option p of dropout was 0.1 when recorded, is 0.2 now"
    assert.is_truthy(tostring(err):find(message, 1, true), tostring(err))
  end)

  it("notes its writes: what is kept of a tensor elsewhere is made anew", function()
    local w = mascon.ones({ 4, 4 }, { device = DEVICE })
    local f = mascon.compile(function(x) w:add_(x) end)
    local one = mascon.ones({ 4, 4 }, { device = DEVICE })
    f(one)
    local y = w:clone():requires_grad_(true)
    local loss = (y * w):sum()
    f(one)
    fails_with("was changed by add_", function() loss:backward() end)
  end)
end)

describe("a hostile script", function()
  local x = mascon.ones({ 3 }, { device = DEVICE })

  it("cannot change an argument through another name, when recorded or later", function()
    local message = "an in-place change of an argument cannot be recorded"
    local count = mascon.ones({ 3 }, { device = DEVICE })
    local f = mascon.compile(function(t)
      count:add_(1)
      return t * 2
    end)
    fails_with(message, f, count)
    f(x)
    fails_with(message, f, count)
    assert.same({ 2, 2, 2 }, count:totable())
    local g = mascon.compile(function(t)
      count:narrow(1, 2, 2):add_(t)
      return t
    end)
    fails_with(message, g, count:narrow(1, 1, 2))
  end)

  it("may pass what an earlier recording left outside", function()
    local kept
    local f = mascon.compile(function(t)
      kept = t * 2
      return t + kept
    end)
    f(x)
    f(x)
    for _ = 1, 4 do
      local want = kept * 3
      assert_same(want, f(kept))
    end
  end)

  it("is told that an argument of a later call requires a gradient", function()
    local f = mascon.compile(function(t) return t * 2 end)
    local w = mascon.ones({ 3 }, { device = DEVICE }):requires_grad_(true)
    f(x)
    fails_with("argument 1 of the compiled function requires a gradient", f, w)
    fails_with("argument 1 of the compiled function requires a gradient", f, w * 2)
    for _ = 1, 2 do
      assert.same({ 2, 2, 2 }, mascon.no_grad(f, w):totable())
    end
  end)

  it("cannot seed inside, and may outside", function()
    fails_with("manual_seed: a new seed cannot be recorded", mascon.compile(function()
      mascon.manual_seed(1)
    end))
    local f = mascon.compile(function(t) return F.dropout(t, { p = 0.5 }) + mascon.rand(3, { device = DEVICE }) end)
    local seen = {}
    for i = 1, 4 do
      mascon.manual_seed(i % 2)
      seen[i] = lines_of(f(x))
    end
    assert.same({ seen[1], seen[2] }, { seen[3], seen[4] })
  end)

  it("cannot put another tensor in the place of one that is worked with", function()
    local mean = x * 0
    fails_with("another tensor in the place of mean, which the function works with, cannot be recorded",
      mascon.compile(function(t)
        mean = mean * 0.5 + t
        return mean
      end), x)
    local Mean = nn.Module:extend "Mean"
    function Mean:init() self:register_buffer("value", x * 0) end
    function Mean:forward(t)
      self.value = self.value * 0.5 + t
      return self.value
    end
    local net = Mean()
    fails_with("Mean: another tensor in the place of value", mascon.compile(function(t) return net(t) end), x)
  end)

  it("keeps arguments that nobody else holds while memory is looked for", function()
    local f = mascon.compile(function(t) return t * 2 end)
    local function given(i)
      local t = mascon.full({ 4000 }, i):to(DEVICE)
      layer.C.mascon_testing_fail_allocation(1)
      return f(t)
    end
    f(mascon.zeros({ 4000 }, { device = DEVICE }))
    for i = 1, 5 do
      assert.equal(2 * i, given(i)[4000]:item())
    end
    layer.C.mascon_testing_fail_allocation(0)
  end)

  it("may add groups to an optimizer and switch its options on", function()
    local function run(compiled)
      mascon.manual_seed(2)
      local a, b = nn.Linear(4, 3):to(DEVICE), nn.Linear(4, 3):to(DEVICE)
      local optimizer = optim.AdamW(a:parameters(), { lr = 0.1 })
      local other = optim.SGD(a:parameters(), { lr = 0.01 })
      local step = function(t, y)
        local loss = F.cross_entropy(a(t) + b(t), y)
        optimizer:zero_grad()
        loss:backward()
        optimizer:step()
        other:step()
        return loss
      end
      step = compiled and mascon.compile(step) or step
      local seen = {}
      for i = 1, 9 do
        if i == 3 then
          optimizer:add_param_group { params = b:parameters() }
        elseif i == 5 then
          optimizer.param_groups[1].amsgrad = true
        elseif i == 7 then
          other.param_groups[1].momentum = 0.9
        end
        seen[i] = lines_of(step(mascon.randn(6, 4):to(DEVICE), mascon.randint(1, 3, { 6 }):to(DEVICE)))
      end
      return seen
    end
    local want = run(false)
    assert.same(want, run(true))
  end)
end)
