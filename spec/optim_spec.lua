-- Optimizers: trajectories against PyTorch's, groups, state dicts, bad arguments.
local mascon = require "mascon"
local nn, optim = mascon.nn, mascon.optim

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

-- A convolution of fixed first values, six steps; PyTorch 2's values of weight and bias afterwards.
local trajectories = {
  { "SGD", { lr = 0.01 }, {
    -0.881960511, -0.881791472, -0.836172402, -0.614587665, -0.697450757, -0.480417311, -0.401269197,
    -0.409961373, -0.131390229, -0.155715749, 0.0386033319, 0.225198835, -0.0144215403, 0.240842879,
    0.489164531, 0.374567688, 0.785944939, 0.694225311, 0.774009526, 1.07381582, 0.858277798, 1.17021739,
    1.16061544, 1.09251928, 0.154280171, -0.0957018808,
  } },
  { "SGD", { lr = 0.01, momentum = 0.9 }, {
    -0.794640064, -0.854506314, -0.875356197, -0.567147017, -0.774267375, -0.481714964, -0.387219429,
    -0.477569818, -0.0715825483, -0.180515334, 0.0508774668, 0.307249844, -0.134881049, 0.218703121,
    0.529278398, 0.291458726, 0.886610925, 0.678306103, 0.771444678, 1.18249428, 0.785929859, 1.22284758,
    1.12541413, 0.967474639, -0.352965683, 0.172575817,
  } },
  { "SGD", { lr = 0.01, momentum = 0.9, nesterov = true, weight_decay = 0.1 }, {
    -0.829921186, -0.85409832, -0.830839455, -0.581226349, -0.710288942, -0.468244582, -0.389226824,
    -0.428140163, -0.107330471, -0.163798556, 0.0445453599, 0.25241068, -0.0457349829, 0.228177965,
    0.49038434, 0.346322298, 0.795681477, 0.676617861, 0.754660428, 1.07724524, 0.819432557, 1.15651143,
    1.12777555, 1.03693175, -0.226235345, 0.124872386,
  } },
  { "SGD", { lr = 0.001, momentum = 0.5, dampening = 0.3, maximize = true }, {
    -1.03535271, -0.902240396, -0.792056143, -0.729242384, -0.571913064, -0.509535968, -0.396133929,
    -0.263872087, -0.218442932, -0.0794952139, -0.0153486179, 0.0600459054, 0.271057844, 0.322324216,
    0.368005157, 0.538467765, 0.537448525, 0.698805988, 0.811564088, 0.845103085, 1.04874814, 1.07996237,
    1.20984578, 1.36667728, 0.570322335, -0.273328632,
  } },
  { "Adam", { lr = 0.1 }, {
    -0.930530608, -0.774569392, -0.912961781, -0.642430067, -0.675648034, -0.42633605, -0.481116176,
    -0.359195679, -0.112391852, -0.158697933, 0.0630032495, 0.161499381, -0.0430799127, 0.0838378221,
    0.62950635, 0.252533168, 0.841276467, 0.7219401, 0.636287332, 1.14668393, 0.762046158, 1.3461653,
    0.961734474, 1.0542562, -0.0530832708, 0.159201324,
  } },
  { "Adam", { lr = 0.1, betas = { 0.8, 0.9 }, eps = 0.001, weight_decay = 0.1 }, {
    -0.926498473, -0.742931306, -0.886794627, -0.63733393, -0.655308545, -0.403821528, -0.456216961,
    -0.342284113, -0.115551829, -0.149074957, 0.0598590486, 0.147921458, -0.00841578469, 0.113029018,
    0.582904518, 0.28158918, 0.799011707, 0.679130316, 0.623980999, 1.10305572, 0.78690505, 1.29108465,
    0.957458854, 1.07975578, -0.0445897356, 0.124761052,
  } },
  { "Adam", { lr = 0.05, amsgrad = true }, {
    -0.859982073, -0.754657447, -0.947541714, -0.566106319, -0.741472065, -0.38715899, -0.455201745,
    -0.435953677, -0.0562701672, -0.2299757, 0.125451863, 0.237322599, -0.0382325426, 0.0727732182,
    0.632475555, 0.258652687, 0.837364137, 0.618341684, 0.599023402, 1.14041781, 0.764104545, 1.34254766,
    0.958059371, 1.06027079, 0.205571085, 0.0326916389,
  } },
  { "Adam", { lr = 0.05, maximize = true }, {
    -1.29830503, -0.887219489, -0.518610597, -0.995294392, -0.300814748, -0.78956002, -0.118742809,
    -0.00381733105, -0.5005337, 0.193850994, -0.292472184, -0.196835771, 0.500319064, 0.597430408,
    0.101456836, 0.8016904, 0.300006956, 0.42852968, 1.09423053, 0.598735988, 1.29949689, 0.798599243,
    1.47164619, 1.6009475, 0.801471829, -0.551651835,
  } },
}

local function new_conv()
  local conv = nn.Conv2d(3, 2, 2)
  mascon.no_grad(function()
    conv.weight:copy_(mascon.arange(0, 24):reshape(2, 3, 2, 2) / 10 - 1)
    conv.bias:copy_(mascon.tensor { 0.5, -0.25 })
  end)
  return conv
end

local function train(conv, optimizer, first, last)
  local x = mascon.arange(0, 48):float():reshape(1, 3, 4, 4):sin()
  for i = first, last do
    optimizer:zero_grad()
    local loss = (conv(x) ^ 2):sum()
    if i ~= 3 then
      loss = loss + (conv.bias ^ 3):sum()
    end
    loss:backward()
    optimizer:step()
  end
end

local function values(conv)
  local list = conv.weight:detach():reshape(-1):totable()
  for _, v in ipairs(conv.bias:detach():totable()) do
    list[#list + 1] = v
  end
  return list
end

local function assert_near(expected, got)
  for i, v in ipairs(expected) do
    assert.is_true(math.abs(v - got[i]) <= 3e-6 * math.max(1, math.abs(v)),
      ("value %d is %.9g; expected %.9g"):format(i, got[i], v))
  end
end

local function describe_options(given)
  local parts = {}
  for k, v in pairs(given) do
    parts[#parts + 1] = k .. "=" .. (type(v) == "table" and table.concat(v, "/") or tostring(v))
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

describe("the path of", function()
  for _, row in ipairs(trajectories) do
    it(row[1] .. " with " .. describe_options(row[2]) .. " is PyTorch's", function()
      local conv = new_conv()
      train(conv, optim[row[1]](conv:parameters(), row[2]), 1, 6)
      assert_near(row[3], values(conv))
    end)

    it(row[1] .. " with " .. describe_options(row[2]) .. " goes on from a state dict", function()
      local conv = new_conv()
      local first = optim[row[1]](conv:parameters(), row[2])
      train(conv, first, 1, 3)
      local second = optim[row[1]](conv:parameters())
      second:load_state_dict(first:state_dict())
      train(conv, second, 4, 6)
      assert_near(row[3], values(conv))
    end)
  end
end)

describe("an optimizer", function()
  it("leaves parameters without a gradient alone and steps the others by their own count", function()
    local a, b = nn.Parameter(mascon.ones { 2 }), nn.Parameter(mascon.ones { 3 })
    local adam = optim.Adam({ a, b }, { lr = 0.1 })
    a:sum():backward()
    adam:step()
    assert.equal(1, b:max():item())
    assert.is_nil(adam.state[b])
    b:sum():backward()
    adam:step() -- a's second step, b's first
    assert.equal(2, adam.state[a].step)
    assert.equal(1, adam.state[b].step)
    assert.is_true(mascon.allclose(a:detach(), mascon.full({ 2 }, 0.8), { atol = 1e-6 }))
    assert.is_true(mascon.allclose(b:detach(), mascon.full({ 3 }, 0.9), { atol = 1e-6 }))
    local c, d = nn.Parameter(mascon.ones { 2 }), nn.Parameter(mascon.ones { 2 })
    local sgd = optim.SGD({ c, d }, { lr = 0.1, momentum = 0.5 })
    c:sum():backward()
    sgd:step()
    d:sum():backward()
    sgd:step()
    assert.is_true(mascon.allclose(c:detach(), mascon.full({ 2 }, 1 - 0.1 - 0.15)))
    assert.is_true(mascon.allclose(d:detach(), mascon.full({ 2 }, 0.9)))
  end)

  it("calls a closure first and gives back what it returns", function()
    local p = nn.Parameter(mascon.tensor { 3 })
    local sgd = optim.SGD({ p }, { lr = 0.5 })
    local loss = mascon.no_grad(function()
      return sgd:step(function()
        sgd:zero_grad()
        local l = (p * p):sum()
        l:backward()
        return l
      end)
    end)
    assert.same({ 9, 0 }, { loss:item(), p[1]:item() })
    assert.is_nil(sgd:step())
    assert.truthy(message(sgd.step, sgd, 5):find("step: closure is a number; expected a function", 1, true))
  end)

  it("has groups with options of their own, and one lr for all of them", function()
    local a, b = nn.Parameter(mascon.ones { 1 }), nn.Parameter(mascon.ones { 1 })
    local sgd = optim.SGD({ { params = { a }, lr = 0.5 }, { params = { b } } }, { lr = 0.25, momentum = 0 })
    assert.equal(0.5, sgd.lr)
    assert.equal(0.25, sgd.param_groups[2].lr)
    local loss = a + b
    loss:backward()
    sgd:step()
    assert.equal(0.5, a:item())
    assert.equal(0.75, b:item())
    sgd.lr = 0.1
    assert.equal(0.1, sgd.param_groups[1].lr)
    assert.equal(0.1, sgd.param_groups[2].lr)
    sgd:add_param_group { params = { nn.Parameter(mascon.ones { 1 }) }, lr = 1 }
    assert.equal(3, #sgd.param_groups)
    assert.truthy(tostring(sgd):find("Parameter Group 2: 1 parameters", 1, true))
    sgd:zero_grad()
    assert.is_nil(a.grad)
  end)

  it("makes state when it is needed, in the parameter's memory order and outside of any scope", function()
    local conv = nn.Conv2d(2, 2, 3)
    local adam = optim.Adam(conv:parameters())
    assert.is_nil(next(adam.state))
    mascon.scope(function()
      conv(mascon.ones { 1, 2, 4, 4 }):sum():backward()
      adam:step()
    end)
    local s = adam.state[conv.weight]
    assert.equal("nhwc", (s.exp_avg:layout()))
    assert.equal("number", type(s.exp_avg_sq:sum():item()))
    assert.equal("number", type(conv.weight.grad:sum():item()))
  end)

  it("follows a model that moves to another dtype", function()
    local linear = nn.Linear(2, 2)
    local adam = optim.Adam(linear:parameters())
    linear:to "float64"
    linear(mascon.ones({ 1, 2 }, { dtype = "float64" })):sum():backward()
    local before = linear.weight:detach():clone()
    adam:step()
    assert.is_false(mascon.allclose(before, linear.weight))
  end)

  it("has a state dict of PyTorch's form", function()
    local linear = nn.Linear(2, 2)
    local adam = optim.Adam(linear:parameters(), { lr = 0.01 })
    linear(mascon.ones { 1, 2 }):sum():backward()
    adam:step()
    local sd = adam:state_dict()
    assert.same({ 0, 1 }, sd.param_groups[1].params)
    assert.equal(0.01, sd.param_groups[1].lr)
    assert.same({ 0.9, 0.999 }, sd.param_groups[1].betas)
    assert.equal(1, sd.state[0].step)
    assert.same({ 2, 2 }, sd.state[0].exp_avg.shape)
    assert.same({ 2 }, sd.state[1].exp_avg_sq.shape)
    -- PyTorch keeps the step as a tensor and switches of its implementation as options
    sd.state[0].step = mascon.tensor(7)
    sd.param_groups[1].foreach, sd.param_groups[1].fused = false, true
    adam:load_state_dict(sd)
    assert.equal(7, adam.state[linear.weight].step)
    local path = os.tmpname()
    mascon.save(path, sd)
    local loaded = mascon.load(path)
    os.remove(path)
    loaded.state[0].step = 9
    adam:load_state_dict(loaded)
    assert.equal(9, adam.state[linear.weight].step)
  end)

  it("leaves no gradient behind in memory", function()
    local p = nn.Parameter(mascon.ones { 1000 })
    local sgd = optim.SGD { p }
    local function step()
      sgd:zero_grad()
      p:sum():backward()
      sgd:step()
    end
    step()
    collectgarbage()
    collectgarbage "stop"
    sgd:zero_grad()
    local before = mascon.memory().live
    for _ = 1, 5 do
      p.grad = nil
      local loss = p:sum()
      loss:backward()
      loss:release()
      sgd:step()
    end
    sgd:zero_grad()
    local after = mascon.memory().live
    collectgarbage "restart"
    assert.is_true(after - before < 4000, ("%d bytes more"):format(after - before))
  end)

  it("refuses bad arguments and leaves everything as it was", function()
    local p = nn.Parameter(mascon.ones { 1 })
    assert.truthy(message(optim.SGD, { p }, { lr = -1 }):find("SGD: lr is -1; must be 0 or more", 1, true)) -- D47
    assert.truthy(message(optim.SGD, { p }, { lr = "0.1" }):find('SGD: lr is "0.1"; expected a number', 1, true))
    assert.truthy(message(optim.SGD, { p }, { lr = 0 / 0 }):find("SGD: lr is nan; must be 0 or more", 1, true))
    assert.truthy(message(optim.Adam, { p }, { bets = {} }):find('did you mean "betas"?', 1, true))
    assert.truthy(message(optim.Adam, { p }, { betas = { 0.9, 1 } })
      :find("betas[2] is 1; must be at least 0 and below 1", 1, true))
    assert.truthy(message(optim.SGD, { p }, { nesterov = true }):find("nesterov needs a momentum above 0", 1, true))
    assert.truthy(message(optim.Adam, {}):find("Adam: 0 parameters given", 1, true))
    local frozen = nn.Linear(2, 2):freeze()
    assert.truthy(message(optim.Adam, frozen:parameters())
      :find("Adam: 0 parameters given; all 2 parameters of the model are frozen", 1, true)) -- D46
    assert.truthy(message(optim.Adam, frozen):find("hint: model:parameters()", 1, true))
    assert.truthy(message(optim.Adam, p):find("argument 1 is a tensor; expected a list of parameters", 1, true))
    assert.truthy(message(optim.Adam, { p, p }):find("parameter 2 is given twice", 1, true))
    assert.truthy(message(optim.Adam, { p * 2 }):find("parameter 1 is the result of an operation", 1, true))
    assert.truthy(message(optim.Adam, { 5 }):find("parameter 1 is 5; expected a tensor", 1, true))
    local sgd = optim.SGD({ p }, { lr = 0.5 })
    assert.truthy(message(function() sgd.lr = -1 end):find("lr is -1", 1, true))
    assert.equal(0.5, sgd.lr)
    local adam = optim.Adam { p }
    p:sum():backward()
    adam:step()
    assert.truthy(message(sgd.load_state_dict, sgd, adam:state_dict()):find("another optimizer", 1, true))
    assert.truthy(message(adam.load_state_dict, adam, { param_groups = {}, state = {} })
      :find("the state dict has 0 parameter groups, this optimizer has 1", 1, true))
  end)
end)
