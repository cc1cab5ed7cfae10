--- Mistakes of the first day: what is said of them, and of what to write in place.

local m = require "mascon"
local nn, optim = m.nn, m.optim

local net = nn.Sequential(nn.Linear(3, 4))
local x = m.ones { 2, 3 }

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
