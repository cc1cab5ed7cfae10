--- Mistakes of the first day: what is said of them, and of what to write in place.

local m = require "mascon"
local nn, optim = m.nn, m.optim

local net = nn.Sequential(nn.Linear(3, 4))
local x = m.ones { 2, 3 }
local optimizer = optim.SGD(net:parameters(), { lr = 0.1 })
local scheduler = optim.lr_scheduler.StepLR(optimizer, { step_size = 2 })

-- what was written; the first line without the place; the hint
local mistakes = {
  { "a class for a module", function() nn.Sequential(nn.ReLU) end,
    "Sequential: element 1 is the class ReLU; expected a module", "ReLU(...) makes one" },
  { "parentheses forgotten", function() optim.SGD(net.parameters, { lr = 0.1 }) end,
    "SGD: argument 1 is a function; expected a list of parameters", "model:parameters()" },
  { "a name in other letters", function() optim.Sgd(net:parameters()) end,
    "optim: there is no optim.Sgd", "did you mean optim.SGD?" },
  { "tensors for a loss that was not made", function() nn.CrossEntropyLoss(x, x) end,
    "CrossEntropyLoss: ignore_index is a tensor; expected a whole number" },
  { "a value for a function", function() m.no_grad(net(x)) end,
    "no_grad: argument 1 is a tensor; expected a function" },
  { "a misspelt dtype", function() x:to "flaot32" end, 'to: unknown device "flaot32"', "or a dtype: float32" },
  { "a dimension counted from 0", function() x:size(0) end, "size: 0 is not a dimension; the first dimension is 1" },
  { "nil in a list to join", function() m.cat { x, nil, x } end,
    "cat: element 2 of the list is nil; expected a tensor" },
  { "nil in a list to stack", function() m.stack { x, nil, x } end,
    "stack: element 2 is nil; expected a tensor" },
  { "a dot for a module's colon", function() net.parameters() end,
    "parameters: argument 1 is missing: expected a module", 'called with "." instead of ":"?' },
  { "the same, an argument given", function() net.train(true) end,
    "train: argument 1 is missing: expected a module", 'called with "." instead of ":"?' },
  { "a dot for an optimizer's colon", function() optimizer.step() end,
    "step: argument 1 is missing: expected an optimizer", 'called with "." instead of ":"?' },
  { "a dot for a scheduler's colon", function() scheduler.step() end,
    "step: argument 1 is missing: expected a scheduler", 'called with "." instead of ":"?' },
  { "a word for a switch", function() net:train "yes" end, 'train: argument 1 is "yes"; expected true or false' },
  { "an option of another framework", function() optimizer:zero_grad { set_to_none = true } end,
    'zero_grad: unknown option "set_to_none"', "it takes no options" },
  { "an optimizer called like a layer", function() optim.SGD { net:parameters(), lr = 0.1 } end,
    "SGD: params of a group are nil; expected a list of tensors", "SGD(params, { lr = ... })" },
  { "other shapes in a stack", function() m.stack { x, m.ones { 3, 2 } } end,
    "stack: element 2 is {3, 2}, element 1 is {2, 3}; all must have one shape" },
  { "other types in a stack", function() m.stack { x, x:to "int64" } end,
    "stack: element 2 is int64, element 1 is float32", 'x:to("float32")' },
  { "a dimension that a stack does not have", function() m.stack({ x, x }, { dim = 4 }) end,
    "stack: dimension 4 of a result with 3 dimensions" },
  { "a misspelt option of a stack", function() m.stack({ x, x }, { dims = 2 }) end,
    'stack: unknown option "dims"', 'did you mean "dim"?' },
  { "a plot by a near name", function() m.plot.line { 1, 2 } end, "plot: there is no plot.line",
    "did you mean plot.lines?" },
  { "a schedule in other letters", function() optim.lr_scheduler.stepLR(optimizer) end,
    "lr_scheduler: there is no lr_scheduler.stepLR", "did you mean lr_scheduler.StepLR?" },
  { "bytes that a terminal would obey", function() m.save("a\0b\27", { x = x }) end,
    'save: path is "a\\0b\\27"' },
}

describe("a mistake", function()
  for _, row in ipairs(mistakes) do
    local name, fn, first, hint = unpack(row)
    it(name, function()
      local good, message = pcall(fn)
      assert.is_false(good)
      local line, rest = message:match "^([^\n]*)\n?(.*)$"
      assert.is_truthy(line:match "mistakes_spec%.lua:%d+: ", message)
      assert.is_truthy(line:find(first, 1, true), message)
      assert.is_truthy(not hint or rest:find(hint, 1, true), message)
    end)
  end
end)

describe("the module in which an error arises", function()
  local Inner = nn.Module:extend "Inner"
  function Inner:forward(t, raw) -- luacheck: ignore 212
    if raw then
      error "raw"
    end
    return t:matmul(m.ones { 9, 9 })
  end
  local Outer = nn.Module:extend "Outer"
  function Outer:init()
    self.inner, self.list = Inner(), {}
  end
  function Outer:forward(t, raw)
    if raw then
      pcall(self.inner, t, true)
      return t:matmul(m.ones { 8, 8 })
    end
    return self.inner(t)
  end

  local function place(fn, ...)
    local good, message = pcall(fn, ...)
    assert.is_false(good)
    return message:match "\nin ([^\n]*)$"
  end

  it("is named by its path", function()
    assert.equal("Outer.inner", place(Outer(), x))
  end)

  it("is not one that an error of the script's own has left", function()
    local outer = Outer()
    assert.equal("Outer", place(outer, x, true))
    assert.is_nil(place(Inner(), x, true))
    assert.is_nil(place(function() x:matmul(x) end))
  end)

  it("is found where a module's fields are at fault themselves", function()
    local outer = Outer()
    table.insert(outer.list, Inner())
    assert.equal("Inner", place(outer, x))
  end)

  it("is each coroutine's own", function()
    local Waits = nn.Module:extend "Waits"
    function Waits:forward(t) -- luacheck: ignore 212
      coroutine.yield()
      return t:matmul(m.ones { 9, 9 })
    end
    local function start()
      local waits = Waits()
      local co = coroutine.create(function() waits(x) end)
      assert(coroutine.resume(co))
      return co
    end
    local a, b = start(), start()
    assert.is_nil(place(function() x:matmul(x) end))
    assert.is_truthy(select(2, coroutine.resume(a)):find "\nin Waits$")
    assert.is_truthy(select(2, coroutine.resume(b)):find "\nin Waits$")
    assert.equal("Outer.inner", place(Outer(), x))
  end)

  it("is kept by no error", function()
    local outer = setmetatable({ Outer() }, { __mode = "v" })
    place(outer[1], x, true)
    collectgarbage()
    collectgarbage()
    assert.is_nil(outer[1])
  end)
end)
