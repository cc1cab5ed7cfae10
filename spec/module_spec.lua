-- nn.Module: fields, walking, state dicts, modes, hooks, copies.
local mascon = require "mascon"
local nn = mascon.nn

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function names(iterator)
  local list = {}
  for name in iterator do
    list[#list + 1] = name
  end
  return list
end

local function keys(t)
  local list = {}
  for name in getmetatable(t).__pairs(t) do
    list[#list + 1] = name
  end
  return list
end

local Net = nn.Module:extend "Net"

function Net:init(hidden)
  self.hidden = hidden
  self.block = nn.Sequential(nn.Linear(3, hidden), nn.ReLU())
  self.scale = nn.Parameter(mascon.ones { hidden })
  self:register_buffer("mean", mascon.zeros { hidden })
  self:register_buffer("scratch", mascon.zeros { 2 }, { persistent = false })
  self.head = nn.Linear(hidden, 2)
end

function Net:forward(x)
  return self.head(self.block(x) * self.scale - self.mean)
end

describe("a module", function()
  it("finds parameters, buffers and children in order", function()
    local net = Net(4)
    assert.same({ "scale", "block.0.weight", "block.0.bias", "head.weight", "head.bias" },
      names(net:named_parameters()))
    assert.same({ "mean", "scratch" }, names(net:named_buffers()))
    assert.same({ "block", "head" }, names(net:named_children()))
    assert.same({ "", "block", "block.0", "block.1", "head" }, names(net:named_modules()))
    assert.equal(5, #net:parameters())
    assert.equal(2, #net:buffers())
    assert.equal(2, #net:children())
    assert.equal(5, #net:modules())
    assert.equal(4 + 12 + 4 + 8 + 2, net:num_parameters())
    assert.same({ 5, 2 }, net(mascon.ones { 5, 3 }).shape)
  end)

  it("keeps the place of a replaced child and forgets a removed one", function()
    local net = Net(4)
    net.block = nn.Linear(net.block[1].in_features, 4)
    assert.same({ "scale", "block.weight", "block.bias", "head.weight", "head.bias" },
      names(net:named_parameters()))
    net.head = nil
    assert.is_nil(net.head)
    assert.same({ "block" }, names(net:named_children()))
    net.extra = false
    net.extra = nn.ReLU()
    assert.same({ "block", "extra" }, names(net:named_children()))
    net.extra = 5
    assert.same({ "block" }, names(net:named_children()))
    assert.equal(5, net.extra)
  end)

  it("counts a shared parameter once, and names it twice in the state dict", function()
    local net = nn.Module()
    net.a = nn.Linear(2, 2, { bias = false })
    net.b = nn.Linear(2, 2, { bias = false })
    net.b.weight = net.a.weight
    assert.equal(1, #net:parameters())
    assert.same({ "a.weight", "b.weight" }, keys(net:state_dict()))
    local copy = net:clone()
    assert.equal(1, #copy:parameters())
  end)

  it("refuses a plain table of modules, also one filled later", function()
    local net = nn.Module()
    local text = message(function() net.blocks = { nn.ReLU() } end)
    assert.truthy(text:find("field blocks is a plain table of modules", 1, true))
    assert.truthy(text:find("nn.ModuleList", 1, true))
    net.later = {}
    net.later[1] = nn.ReLU()
    assert.truthy(message(net.parameters, net):find("field later is a plain table", 1, true))
  end)

  it("refuses a plain tensor in the place of a parameter", function()
    local layer = nn.Linear(2, 2)
    assert.truthy(message(function() layer.weight = mascon.zeros { 2, 2 } end)
      :find('field "weight" is a parameter', 1, true))
    layer.weight = nn.Parameter(mascon.zeros { 2, 2 })
    assert.equal(0, layer.weight:sum():item())
    assert.equal(2, #layer:parameters())
  end)

  it("names the method that was meant, and reads other unknown fields as nil", function()
    local net = Net(4)
    local text = message(function() net:paramters() end)
    assert.truthy(text:find('Net: there is no method "paramters"', 1, true))
    assert.truthy(text:find('did you mean "parameters"?', 1, true))
    assert.truthy(text:find("module_spec.lua:", 1, true))
    assert.is_nil(net.downsample)
    local y = net.shortcut and net.shortcut(1) or 2
    assert.equal(2, y)
  end)

  it("says where an error happened", function()
    local net = Net(4)
    assert.truthy(message(net, mascon.ones { 5, 4 }):find("in Net.block.0", 1, true))
    assert.truthy(message(net.block, mascon.ones { 5, 4 }):find("in Sequential.0", 1, true))
    assert.truthy(message(nn.Module:extend "Empty"(), 1):find("Empty: forward is not defined", 1, true))
  end)

  it("inherits", function()
    local Wide = Net:extend "Wide"
    function Wide:init()
      Net.init(self, 8)
    end
    local net = Wide()
    assert.equal(8, net.hidden)
    assert.same({ 1, 2 }, net(mascon.ones { 1, 3 }).shape)
    assert.equal("Wide", net.class_name)
  end)

  it("switches modes", function()
    local net = Net(4)
    assert.is_true(net.training)
    assert.equal(net, net:eval())
    assert.is_false(net.block[2].training)
    net:train()
    assert.is_true(net.block[2].training)
    net:freeze()
    assert.equal(0, net:num_parameters { trainable = true })
    assert.is_true(net.head.frozen)
    net:requires_grad_(true)
    assert.equal(30, net:num_parameters { trainable = true })
    assert.is_false(net.head.frozen)
  end)

  it("applies children first", function()
    local seen = {}
    Net(2):apply(function(m) seen[#seen + 1] = m.class_name end)
    assert.same({ "Linear", "ReLU", "Sequential", "Linear", "Net" }, seen)
  end)

  it("runs hooks until they are removed", function()
    local layer, calls = nn.ReLU(), 0
    local handle = layer:register_forward_hook(function(module, inputs, y)
      calls = calls + 1
      assert.equal(layer, module)
      assert.equal(-1, inputs[1]:item())
      return y + 1
    end)
    assert.equal(1, layer(mascon.tensor(-1)):item())
    handle:remove()
    assert.equal(0, layer(mascon.tensor(-1)):item())
    assert.equal(1, calls)
  end)

  it("forgets gradients", function()
    local net = Net(4)
    net(mascon.ones { 2, 3 }):sum():backward()
    assert.truthy(net.head.weight.grad)
    net:zero_grad()
    assert.is_nil(net.head.weight.grad)
  end)

  it("prints like PyTorch", function()
    assert.equal([[
Net(
  (block): Sequential(
    (0): Linear(in_features=3, out_features=4, bias=true)
    (1): ReLU()
  )
  (head): Linear(in_features=4, out_features=2, bias=true)
)]], tostring(Net(4)))
  end)

  it("survives a scope and leaves what it made to the module", function()
    local net = mascon.scope(function()
      return { Net(4) }
    end)[1]
    assert.same({ 1, 2 }, net(mascon.ones { 1, 3 }).shape)
  end)
end)

describe("to", function()
  it("converts floating tensors in place, gradients too", function()
    local net = Net(4)
    net:register_buffer("count", mascon.zeros({ 1 }, { dtype = "int64" }))
    local weight = net.head.weight
    net(mascon.ones { 1, 3 }):sum():backward()
    assert.equal(net, net:to "float64")
    assert.equal(weight, net.head.weight)
    assert.equal("float64", weight.dtype)
    assert.equal("float64", weight.grad.dtype)
    assert.is_true(weight.requires_grad)
    assert.equal("float64", net.mean.dtype)
    assert.equal("int64", net.count.dtype)
    assert.equal("float64", net(mascon.ones({ 1, 3 }, { dtype = "float64" })).dtype)
    assert.truthy(message(net.to, net, "float31"):find('"float31"', 1, true))
    net:requires_grad_(false)
    assert.truthy(message(net.to, net, "int64"):find("to: dtype int64 is not floating", 1, true))
    assert.equal("float64", net.mean.dtype)
  end)

  it("keeps the memory order of convolution weights", function()
    local conv = nn.Conv2d(3, 4, 3):to "float64"
    assert.equal("nhwc", (conv.weight:layout()))
  end)
end)

describe("clone", function()
  it("shares nothing", function()
    local net = Net(4)
    local copy = net:clone()
    assert.is_true(mascon.allclose(net.head.weight, copy.head.weight))
    mascon.no_grad(function() copy.head.weight:zero_() end)
    assert.is_false(mascon.allclose(net.head.weight, copy.head.weight))
    assert.same(names(net:named_parameters()), names(copy:named_parameters()))
    assert.equal(4, copy.hidden)
    assert.is_true(copy.head.weight.requires_grad)
    local conv = nn.Sequential { { "conv", nn.Conv2d(3, 2, 3) } }:clone()
    assert.equal("nhwc", (conv.conv.weight:layout()))
    assert.same({ "conv" }, names(conv:named_children()))
  end)
end)

describe("a state dict", function()
  it("shares memory and has PyTorch's names in PyTorch's order", function()
    local net = Net(4)
    local sd = net:state_dict()
    assert.same({ "scale", "mean", "block.0.weight", "block.0.bias", "head.weight", "head.bias" }, keys(sd))
    assert.is_false(sd["head.weight"].requires_grad)
    sd.extra = mascon.ones { 1 }
    assert.equal("extra", keys(sd)[7])
    sd["head.weight"]:zero_()
    assert.equal(0, net.head.weight:abs():sum():item())
  end)

  it("is copied into dtype and device of the module", function()
    local a, b = Net(4), Net(4):to "float64"
    local report = b:load_state_dict(a:state_dict())
    assert.same({ missing = {}, unexpected = {}, different = {} }, report)
    assert.equal("float64", b.scale.dtype)
    assert.is_true(mascon.allclose(a.head.weight, b.head.weight))
  end)

  it("goes through a file", function()
    local a, b, path = Net(4), Net(4), os.tmpname()
    mascon.save(path, a:state_dict())
    b:load_state_dict(mascon.load(path))
    os.remove(path)
    assert.is_true(b.head.weight:eq(a.head.weight):all():item())
    assert.is_true(b.block[1].weight:eq(a.block[1].weight):all():item())
  end)

  it("says that names differ by a prefix (D63)", function()
    local net, prefixed = Net(4), {}
    for name, t in pairs(net:state_dict()) do
      prefixed["module." .. name] = t
    end
    local text = message(net.load_state_dict, net, prefixed)
    assert.truthy(text:find('load_state_dict: 6 of 6 names differ only by the prefix "module."', 1, true))
    assert.truthy(text:find('hint: strip = "module."', 1, true))
    net:load_state_dict(prefixed, { strip = "module." })
    prefixed.n_averaged = mascon.zeros {}
    assert.truthy(message(net.load_state_dict, net, prefixed)
      :find('hint: strip = "module." with strict = false', 1, true))
    assert.same({ "n_averaged" }, net:load_state_dict(prefixed, { strip = "module.", strict = false }).unexpected)
    prefixed["head.bias"] = mascon.zeros { 4 }
    assert.truthy(message(net.load_state_dict, net, prefixed, { strip = "module." })
      :find('load_state_dict: head.bias is there with and without "module."; strip makes them one name', 1, true))
  end)

  it("lists names that are missing or unexpected", function()
    local net = Net(4)
    local sd = net:state_dict()
    sd["head.bias"], sd.other = nil, mascon.zeros { 1 }
    local text = message(net.load_state_dict, net, sd)
    assert.truthy(text:find("1 missing: head.bias; 1 unexpected: other", 1, true))
    assert.same({ missing = { "head.bias" }, unexpected = { "other" }, different = {} },
      net:load_state_dict(sd, { strict = false }))
  end)

  it("says which shapes differ and changes nothing (D64)", function()
    local net, other = Net(4), Net(4)
    other.head = nn.Linear(4, 7)
    local before = net.scale:clone()
    mascon.no_grad(function() other.scale:zero_() end)
    local text = message(net.load_state_dict, net, other:state_dict())
    assert.truthy(text:find("load_state_dict: 2 of 6 differ: head.weight file {7, 4} model {2, 4}; "
      .. "head.bias file {7} model {2}", 1, true))
    assert.truthy(text:find('strict = false, or except = {"head"}', 1, true))
    assert.is_true(mascon.allclose(before, net.scale))
    net:load_state_dict(other:state_dict(), { except = { "head" } })
    assert.equal(0, net.scale:sum():item())
  end)

  it("refuses what is none", function()
    local net = Net(4)
    assert.truthy(message(net.load_state_dict, net, 5):find("argument 1 is 5", 1, true))
    assert.truthy(message(net.load_state_dict, net, { a = 1 }):find('entry "a" is 1', 1, true))
    assert.truthy(message(net.load_state_dict, net, {}, { strickt = false }):find('did you mean "strict"?', 1, true))
  end)
end)

describe("containers", function()
  it("count from 1, and from 0 in names", function()
    local relu = nn.ReLU()
    local seq = nn.Sequential(nn.Linear(2, 3), relu)
    assert.equal(relu, seq[2])
    assert.equal(2, #seq)
    assert.same({ "0", "1" }, names(seq:named_children()))
    seq[2] = nn.Tanh()
    seq[3] = relu
    assert.equal(3, seq:len())
    assert.same({ "Linear", "Tanh", "ReLU" }, { seq[1].class_name, seq[2].class_name, seq[3].class_name })
    assert.equal(relu, seq:append(relu)[4])
  end)

  it("take lists and named elements", function()
    local seq = nn.Sequential { { "a", nn.Linear(2, 3) }, { "b", nn.ReLU() } }
    assert.same({ "a.weight", "a.bias" }, keys(seq:state_dict()))
    assert.equal(seq[1], seq.a)
    seq.a = nn.Linear(2, 5)
    assert.equal(5, seq[1].out_features)
    assert.same({ "a", "b" }, names(seq:named_children()))
    assert.equal(2, #nn.Sequential { nn.ReLU(), nn.ReLU() })
    local list = nn.ModuleList { nn.Linear(1, 1), nn.Linear(1, 2) }
    local count = 0
    for _, m in ipairs(list) do
      count = count + m.out_features
    end
    assert.equal(3, count)
    assert.equal(4, #list:parameters())
    assert.truthy(message(list, 1):find("ModuleList: it is a list", 1, true))
  end)

  it("refuse what is no module", function()
    assert.truthy(message(nn.Sequential, nn.ReLU(), 5):find("Sequential: element 2 is 5; expected a module", 1, true))
    assert.truthy(message(nn.Sequential, { a = nn.ReLU() }):find('"a" is a name; expected a list', 1, true))
    local seq = nn.Sequential(nn.ReLU())
    assert.truthy(message(function() seq[5] = nn.ReLU() end):find("element 5 cannot be set", 1, true))
  end)

  local function live()
    collectgarbage()
    collectgarbage()
    return mascon.memory().live
  end

  it("release what lies between children where nothing is recorded", function()
    local x = mascon.randn { 64, 1024 }
    local seq = nn.Sequential(nn.Identity(), nn.Tanh(), nn.Sequential(nn.Tanh(), nn.Flatten()), nn.Tanh(),
      nn.Identity(), nn.Dropout())
    seq:eval()
    local before = live()
    collectgarbage "stop"
    local y = mascon.no_grad(function() return seq(x) end)
    local after = mascon.memory().live
    collectgarbage "restart"
    assert.is_true(after - before <= 2 * 64 * 1024 * 4)
    assert.is_true(mascon.allclose(x:tanh():tanh():tanh(), y))
  end)

  it("never release what others may hold", function()
    local kept = {}
    local Keeper = nn.Module:extend "Keeper"
    function Keeper:forward(x)
      kept[#kept + 1] = x
      return x + 1
    end
    local layer = nn.ReLU()
    layer:register_forward_hook(function(_, _, y) kept[#kept + 1] = y end)
    local keeper = Keeper()
    local seq = nn.Sequential(keeper, nn.Identity(), keeper, nn.ReLU(), keeper, layer, nn.Tanh())
    mascon.no_grad(function() return seq(mascon.ones { 2 }) end)
    for _, t in ipairs(kept) do
      assert.equal("number", type(t:sum():item()))
    end
    local Kept = nn.Tanh:extend "Kept"
    function Kept:forward(x)
      self.last = x
      return nn.Tanh.forward(self, x)
    end
    local own = nn.Tanh()
    own.forward = Kept.forward
    local chain = nn.Sequential(nn.Tanh(), Kept(), nn.Tanh(), own, nn.Tanh())
    local x = mascon.ones { 2 }
    mascon.no_grad(function()
      chain(x)
      assert.equal("number", type(chain[2].last:sum():item()))
      assert.equal("number", type(own.last:sum():item()))
      assert.equal(x, nn.Sequential(nn.Identity())(x))
      nn.Sequential(nn.Identity(), nn.ReLU { inplace = true }, nn.Tanh())(x)
    end)
    assert.equal(2, x:sum():item())
    local recorded = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Tanh())
    recorded(x):sum():backward()
    assert.truthy(recorded[1].weight.grad)
  end)
end)
