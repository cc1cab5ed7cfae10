--- mascon.save_model and mascon.load_model: what is saved computes the same, for any batch; what cannot be
--- recorded is named; a damaged file is refused.

local mascon = require "mascon"

local nn = mascon.nn
local path

setup(function()
  path = os.tmpname()
end)

teardown(function()
  os.remove(path)
end)

local function eager(model, ...)
  model:eval()
  return mascon.no_grad(function(...) return model(...) end, ...)
end

local function same(a, b)
  assert.same(a.shape, b.shape)
  assert.equal(a.dtype, b.dtype)
  assert.is_true(mascon.allclose(a, b, { rtol = 0, atol = 0 }))
end

local function save_and_load(model, example, given)
  mascon.save_model(path, model, example, given)
  return mascon.load_model(path)
end

--- The error of a call, without the place in front.
local function error_of(fn, ...)
  local good, message = pcall(fn, ...)
  assert.is_false(good)
  return tostring(message)
end

--- A module whose forward is the function.
local function module_of(forward, parts)
  local Net = nn.Module:extend "Net"
  function Net:init()
    for name, part in pairs(parts or {}) do
      self[name] = part
    end
  end
  Net.forward = forward
  return Net()
end

local function small_net()
  mascon.manual_seed(3)
  return nn.Sequential(nn.Conv2d(3, 8, 3, { padding = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
    nn.Dropout(0.5), nn.Conv2d(8, 8, 3, { groups = 2 }), nn.ReLU(true), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    nn.Linear(32, 5))
end

describe("a saved model", function()
  it("computes the same bits as the model, for any batch", function()
    local net = small_net()
    net[2].running_mean:uniform_()
    local loaded = save_and_load(net, mascon.rand { 2, 3, 9, 9 })
    assert.is_true(net.training)
    for _, n in ipairs { 1, 2, 5 } do
      local x = mascon.randn { n, 3, 9, 9 }
      same(eager(net, x), loaded(x))
    end
    assert.equal("saved model: input float32 {batch, 3, 9, 9} -> output float32 {batch, 5}",
      tostring(loaded):match "^(.-),? %d+ calls" or tostring(loaded):match "^(.-), %d")
    assert.same({ { name = "input", dtype = "float32", shape = { "batch", 3, 9, 9 } } }, loaded.inputs)
    assert.equal("cpu", loaded.device)
  end)

  it("takes its example with a batch of one", function()
    local net = small_net()
    local loaded = save_and_load(net, mascon.rand { 1, 3, 9, 9 })
    local x = mascon.randn { 4, 3, 9, 9 }
    same(eager(net, x), loaded(x))
  end)

  it("takes channels-last inputs and gives channels-last outputs as the model does", function()
    local net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    local loaded = save_and_load(net, mascon.rand { 2, 3, 8, 8 })
    local x = mascon.rand { 2, 8, 8, 3 }:permute(1, 4, 2, 3)
    same(eager(net, x), loaded(x))
  end)

  it("takes several inputs and gives several outputs", function()
    local net = module_of(function(self, a, b)
      local s = self.fc(a) + b
      return s, s:sum(2), mascon.cat { a, b, dim = 2 }
    end, { fc = nn.Linear(4, 3) })
    local a, b = mascon.rand { 2, 4 }, mascon.rand { 2, 3 }
    local loaded = save_and_load(net, { a, b })
    local c, d = mascon.rand { 5, 4 }, mascon.rand { 5, 3 }
    local want, got = { eager(net, c, d) }, { loaded(c, d) }
    assert.equal(3, #got)
    for i = 1, 3 do
      same(want[i], got[i])
    end
    assert.matches("model: input.2 has shape {3, 3}; .*with one batch for all inputs",
      (error_of(loaded, c, mascon.rand { 3, 3 }):gsub("input input", "input")))
    assert.matches("model: 1 input; the model has 2", error_of(loaded, c))
  end)

  it("takes inputs and gives outputs by name", function()
    local net = module_of(function(_, t)
      return { sum = t.left + t.right, product = t.left * t.right }
    end)
    local a, b = mascon.rand { 2, 4 }, mascon.rand { 2, 4 }
    local loaded = save_and_load(net, { left = a, right = b })
    local got = loaded { right = b, left = a }
    same(a + b, got.sum)
    same(a * b, got.product)
    assert.matches('did you mean "left"', error_of(loaded, { lefft = a, right = b }))
  end)

  it("keeps views, in-place operations, constants and tied weights", function()
    local table_of_lua = mascon.tensor { 1, 2, 3, 4 }
    local net = module_of(function(self, x)
      local y = self.fc(x)
      y[{ { 1, -1 }, 2 }] = 7
      local z = y:clone():add_(table_of_lua)
      z:narrow(2, 2, 2):mul_(3)
      local made = mascon.tensor { 1, 2, 3, 4 }:add_(self.fc.bias)
      return z:matmul(self.fc.weight) + made + self.again(x):sum(2, { keepdim = true })
    end, { fc = nn.Linear(4, 4) })
    net.again = net.fc
    local loaded = save_and_load(net, mascon.rand { 3, 4 })
    local x = mascon.rand { 5, 4 }:narrow(1, 2, 3)
    same(eager(net, x), loaded(x))
    same(eager(net, x), loaded(x))
  end)

  it("follows the batch in options", function()
    local net = module_of(function(self, x)
      local n = x:size(1)
      local y = x:reshape(n * 2, 8):reshape(n, -1) + mascon.zeros { n, 16 }
      return self.fc(y) / n
    end, { fc = nn.Linear(16, 3) })
    local loaded = save_and_load(net, mascon.rand { 3, 4, 4 })
    for _, n in ipairs { 1, 3, 6 } do
      local x = mascon.rand { n, 4, 4 }
      same(eager(net, x), loaded(x))
    end
  end)

  it("keeps labels that count from one, and attention by hand", function()
    local net = module_of(function(self, x)
      local q = self.embed(x)
      local scores = q:matmul(q:transpose(2, 3)):softmax(3)
      return scores:matmul(q):mean(2)
    end, { embed = nn.Embedding(10, 6) })
    local loaded = save_and_load(net, mascon.randint(1, 10, { 2, 5 }))
    local x = mascon.randint(1, 10, { 4, 5 })
    same(eager(net, x), loaded(x))
  end)

  it("keeps autocast", function()
    local net = module_of(function(self, x)
      return mascon.autocast("bfloat16", function() return self.fc(x) end)
    end, { fc = nn.Linear(8, 8) })
    local x = mascon.rand { 2, 8 }
    local loaded = save_and_load(net, x)
    same(eager(net, x), loaded(x))
  end)

  it("may be a function", function()
    local w = mascon.rand { 4, 4 }
    local loaded = save_and_load(function(x) return x:matmul(w):relu() end, mascon.rand { 2, 4 })
    local x = mascon.randn { 7, 4 }
    same(x:matmul(w):relu(), loaded(x))
  end)

  it("releases what it makes", function()
    local loaded = save_and_load(small_net(), mascon.rand { 2, 3, 9, 9 })
    local x = mascon.rand { 3, 3, 9, 9 }
    loaded(x):release()
    collectgarbage()
    collectgarbage()
    local before = mascon.memory().tensors
    for _ = 1, 5 do
      loaded(x):release()
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, mascon.memory().tensors)
  end)

  it("names weights as the state dict does", function()
    local net = small_net()
    mascon.save_model(path, net, mascon.rand { 2, 3, 9, 9 })
    local sd = mascon.load(path)
    same(net[1].weight:detach(), sd["0.weight"] or sd[1] and sd[1].weight)
  end)
end)

describe("a model that was saved refuses", function()
  it("inputs that do not fit", function()
    local loaded = save_and_load(small_net(), mascon.rand { 2, 3, 9, 9 })
    assert.matches("model: input has shape {1, 1, 9, 9}; the model takes {batch, 3, 9, 9}",
      error_of(loaded, mascon.rand { 1, 1, 9, 9 }))
    assert.matches("hint: x:unsqueeze%(1%)", error_of(loaded, mascon.rand { 3, 9, 9 }))
    assert.matches("model: input is int64; the model takes float32",
      error_of(loaded, mascon.zeros({ 1, 3, 9, 9 }, { dtype = "int64" })))
    assert.matches("model: input has an empty batch {0, 3, 9, 9}", error_of(loaded, mascon.zeros { 0, 3, 9, 9 }))
    assert.matches("model: input input is nil; expected a tensor", error_of(loaded, nil))
    local gone = mascon.rand { 1, 3, 9, 9 }
    gone:release()
    assert.matches("model: tensor was released", error_of(loaded, gone))
  end)

  it("another batch where it was saved without", function()
    local net = nn.Linear(3, 2)
    local loaded = save_and_load(net, mascon.rand { 2, 3 }, { batch = "fixed" })
    assert.matches("the model takes {2, 3}", error_of(loaded, mascon.rand { 3, 3 }))
  end)
end)

describe("saving a model refuses", function()
  local x

  before_each(function()
    x = mascon.rand { 2, 4 }
  end)

  local function refused(pattern, forward, parts, given)
    local net = module_of(forward, parts)
    local message = error_of(mascon.save_model, path .. ".none", net, x, given)
    assert.matches(pattern, message)
    assert.matches("^[^\n]*saved_model_spec.lua:%d+: ", message)
    assert.is_nil(io.open(path .. ".none"))
    local t = mascon.rand { 2 } -- nothing is recorded any more
    assert.is_number(t:sum():item())
  end

  it("values that Lua reads", function()
    refused("item: reading its values cannot be recorded", function(_, t)
      return t:sum():item() > 0 and t or t + 1
    end)
    refused("reading its values cannot be recorded", function(_, t)
      return t + #tostring(t:relu())
    end)
    refused("reading its values cannot be recorded", function(_, t)
      return t * t:relu():detach():totable()[1][1]
    end)
  end)

  it("random operations", function()
    refused("rand: a random operation cannot be recorded.*in Net", function(_, t)
      return t + mascon.rand { 4 }
    end)
    refused("dropout: a random operation cannot be recorded", function(_, t)
      return nn.functional.dropout(t, { p = 0.5, training = true })
    end)
  end)

  it("statistics in training mode", function()
    refused("batch_norm: it changes running_mean, which cannot be recorded", function(self, t)
      return nn.functional.batch_norm(t, self.bn.running_mean, self.bn.running_var, nil, nil, { training = true })
    end, { bn = nn.BatchNorm1d(4) })
  end)

  it("in-place changes of inputs and weights", function()
    refused("add_: an in%-place change of an input %(input%) cannot be recorded.*hint: x:clone%(%) first",
      function(_, t) return t:add_(1) end)
    refused("mul_: an in%-place change of a constant %(fc.weight%)", function(self, t)
      self.fc.weight:mul_(2)
      return self.fc(t)
    end, { fc = nn.Linear(4, 4) })
    refused("zero_: an in%-place change of an input", function(_, t)
      t:narrow(2, 1, 1):zero_()
      return t + 1
    end)
  end)

  it("sizes that depend on values", function()
    refused("masked_select: an operation whose result has a size that depends on values", function(_, t)
      return t:masked_select(t:gt(0.5))
    end)
  end)

  it("gradients inside", function()
    refused("cannot be recorded", function(self, t)
      mascon.enable_grad(function() self.fc(t):sum():backward() end)
      return self.fc(t)
    end, { fc = nn.Linear(4, 4) })
  end)

  it("another batch that a call does not allow", function()
    refused("does not run with a batch of 3: .*view: .*in Net", function(self, t)
      return self.fc(t:view(2, 4))
    end, { fc = nn.Linear(4, 4) })
    refused("call 1 %(mul in Net%) does not allow another batch: option other is 0.5 for a batch of 2 and 0.33",
      function(_, t) return t * (1 / t:size(1)) end)
    refused("call 2 %(%w+ in Net%) does not allow another batch: with 3, another call stands", function(_, t)
      t = t + 1
      return t:size(1) == 2 and t:relu() or t:sigmoid()
    end)
    refused("output 1 has another shape or type than its call makes for a batch of 1", function(_, t)
      return t:squeeze() + 1
    end)
    local count = 0
    refused("a tensor that was made in Lua differs", function(_, t)
      count = count + 1
      return t + mascon.tensor { count }
    end)
  end)

  it("other results than tensors, and other arguments", function()
    refused("output output is 5; a saved model returns tensors", function() return 5 end)
    refused("the model returned nothing", function(_, t) t:relu() end)
    local save = mascon.save_model
    assert.matches("save_model: path is 5", error_of(save, 5))
    assert.matches("save_model: argument 2 %(model%) is nil", error_of(save, path))
    assert.matches("save_model: argument 3 %(example_input%) is nil", error_of(save, path, nn.ReLU()))
    assert.matches("save_model: example_input%[1%] is 5", error_of(save, path, nn.ReLU(), { 5 }))
    assert.matches('save_model: unknown option "bath"', error_of(save, path, nn.ReLU(), x, { bath = 1 }))
    assert.matches("save_model: directory .* does not exist",
      error_of(save, path .. ".folder/x.safetensors", nn.ReLU(), x))
  end)

  it("a model that raises an error itself, and leaves its modes alone", function()
    local net = nn.Sequential(nn.Dropout(0.5), module_of(function() error "mine" end))
    assert.matches("mine", error_of(mascon.save_model, path, net, x))
    assert.is_true(net.training)
    assert.is_true(mascon.is_grad_enabled())
    assert.equal(5, select(2, pcall(function() return 5 end)))
    mascon.save_model(path, nn.ReLU(), x)
  end)
end)

-- Damaged files -------------------------------------------------------------------------------------------

describe("a damaged model file", function()
  local bytes

  setup(function()
    mascon.manual_seed(1)
    local net = module_of(function(self, x)
      return self.fc(x:reshape(x:size(1), -1)):relu():add_(1)
    end, { fc = nn.Linear(4, 2) })
    mascon.save_model(path, net, mascon.rand { 2, 2, 2 })
    local f = assert(io.open(path, "rb"))
    bytes = f:read "*a"
    f:close()
  end)

  local function u64(n)
    local t = {}
    for i = 1, 8 do
      t[i] = string.char(n % 256)
      n = math.floor(n / 256)
    end
    return table.concat(t)
  end

  --- Writes the file with a piece of its header replaced (plain text, quotes unescaped).
  local function changed(from, to)
    local n = bytes:byte(1) + 256 * bytes:byte(2) + 65536 * bytes:byte(3)
    local header, data = bytes:sub(9, 8 + n), bytes:sub(9 + n)
    local function escape(s)
      return (s:gsub('"', '\\"'))
    end
    local first, last = header:find(escape(from), 1, true)
    assert(first, "the header has no " .. from)
    header = header:sub(1, first - 1) .. escape(to) .. header:sub(last + 1)
    local f = assert(io.open(path, "wb"))
    f:write(u64(#header), header, data)
    f:close()
  end

  local function refused(pattern, from, to)
    changed(from, to)
    local message = error_of(mascon.load_model, path)
    assert.matches("load_model: .*" .. pattern, message)
    assert.is_truthy(message:find(path, 1, true))
  end

  it("names what it does not know", function()
    refused('there is no operation "reluu" in mascon .*written by "mascon ', '"op":"relu"', '"op":"reluu"')
    refused('operation relu has version 7; mascon .* knows version 1', '"op":"relu","version":1',
      '"op":"relu","version":7')
    refused('saved model of schema 2; mascon .* reads schema 1', '"schema":1', '"schema":2')
    refused('operation reshape has no option "shap"', '"shape":["batch",-1]}', '"shap":["batch",-1]}')
    refused('unknown field "extra"', '"op":"relu"', '"op":"relu","extra":1')
    refused('field "in" comes twice', '"op":"relu"', '"op":"relu","in":[1],"in":[1]')
    refused('unknown dtype "float31"', '"dtype":"float32"', '"dtype":"float31"')
  end)

  it("keeps buffers in order", function()
    refused("buffer %d+ is used before it is made", '"op":"reshape","version":1,"in":[0]',
      '"op":"reshape","version":1,"in":[5]')
    refused("a buffer's number is 4096; at most %d+ is possible", '"op":"reshape","version":1,"in":[0]',
      '"op":"reshape","version":1,"in":[4096]')
    refused("a whole number from 0 expected", '"op":"reshape","version":1,"in":[0]',
      '"op":"reshape","version":1,"in":[-1]')
    refused("input x is missing", '"op":"reshape","version":1,"in":[0]', '"op":"reshape","version":1,"in":[null]')
    refused("more than 8 inputs or outputs of a call", '"op":"reshape","version":1,"in":[0]',
      '"op":"reshape","version":1,"in":[0,0,0,0,0,0,0,0,0]')
    refused("the number of buffers is 9000000000000; at most", '"buffers":', '"buffers":9000000000000,"x":')
    refused("defined twice", '"name":"fc.bias","buffer":2', '"name":"fc.bias","buffer":1')
    refused("which no call makes", '"outputs":[{"name":"output","buffer":5', '"outputs":[{"name":"output","buffer":0')
  end)

  it("infers the shapes again", function()
    refused("call 2 %(linear in Net.fc%): input has %d+ features, the layer takes 4", '"shape":["batch",2,2]',
      '"shape":["batch",2,3]')
    refused("output 1 has another shape", '"shape":["batch",2]}]', '"shape":["batch",3]}]')
    refused("call 1 %(reshape in Net%): .*", '"shape":["batch",-1]}', '"shape":["batch",1e300]}')
    refused("call 1 %(reshape in Net%): .*", '"shape":["batch",-1]}', '"shape":[1,1,1,1,1,1,1,1]}')
    refused("option shape has more than 8 values", '"shape":["batch",-1]}', '"shape":[1,1,1,1,1,1,1,1,1]}')
    refused('"batch%*x" is no value of an option', '"shape":["batch",-1]}', '"shape":["batch*x",-1]}')
    refused("an option follows the batch, but no input has a free one", '"shape":["batch",2,2]', '"shape":[2,2,2]')
    refused("weight \"fc.wait\" is not in the file", '"name":"fc.weight"', '"name":"fc.wait"')
    refused("cannot lie channels%-last", '"name":"fc.weight",', '"name":"fc.weight","layout":"nhwc",')
  end)

  it("never writes into inputs or weights, and never runs what is no part of a model", function()
    refused("it would change an input or a weight", '"op":"relu","version":1,"in":[', '"op":"add","version":1,'
      .. '"in":[1],"out":[1],"options":{"other":1}},{"op":"relu","version":1,"in":[')
    refused("this operation cannot be part of a saved model", '"op":"relu","version":1,"in":[',
      '"op":"uniform","version":1,"in":[1],"out":[1],"options":{}},{"op":"relu","version":1,"in":[')
    refused("this operation cannot be part of a saved model", '"op":"relu","version":1,"in":[',
      '"op":"sgd","version":1,"in":[1],"out":[],"options":{}},{"op":"relu","version":1,"in":[')
    refused("option device is no part of a saved model", '"op":"relu","version":1,"in":[',
      '"op":"full","version":1,"in":[],"out":[1],"options":{"shape":[1],"device":0}},{"op":"relu","version":1,"in":[')
  end)

  it("is JSON", function()
    refused("expected a number", '"other":1', '"other":1..2')
    refused("expected", '{"schema":1', '[{"schema":1')
    refused("something follows the program", ']}]}', ']}]} 1')
    refused("schema, writer and buffers come first", '"schema":1,', "")
    refused('field "version" is missing', '"version":1,', "")
  end)

  it("is told apart from other files", function()
    mascon.save(path, { a = mascon.ones { 2 } })
    assert.matches("it holds tensors but no program: no saved model.*hint: mascon.load reads",
      error_of(mascon.load_model, path))
    assert.matches("load_model: .*no such file", error_of(mascon.load_model, path .. ".missing"))
    assert.matches("load_model: path is 5", error_of(mascon.load_model, 5))
  end)
end)

describe("a large network", function()
  it("has the same logits from its file", function()
    local net, x = mascon.models.resnet18 { num_classes = 7 }, mascon.rand { 1, 3, 64, 64 }
    local loaded = save_and_load(net, x)
    same(eager(net, x), loaded(x))
    local y = mascon.rand { 2, 3, 64, 64 }
    same(eager(net, y), loaded(y))
  end)
end)
