--- Tensors from Lua: making, fields, subscripts, operators, text.

local m = require "mascon"

describe("making tensors", function()
  it("takes sizes by position or in a table, options beside them", function()
    assert.same({ 2, 3 }, m.zeros(2, 3).shape)
    assert.same({ 2, 3 }, m.zeros { 2, 3 }.shape)
    assert.same({}, m.zeros({}).shape)
    assert.equal("int64", m.zeros { 2, 3, dtype = "int64" }.dtype)
    assert.equal("int64", m.zeros({ 2 }, { dtype = "int64" }).dtype)
    assert.is_true(m.ones({ 2 }, { requires_grad = true }).requires_grad)
  end)

  it("makes ranges as Lua and as PyTorch count them", function()
    assert.same({ 1, 2, 3, 4, 5 }, m.range(1, 5):totable())
    assert.same({ 0, 1, 2, 3, 4 }, m.arange(5):totable())
    assert.same({ 1, 3 }, m.arange(1, 5, 2):totable())
    assert.same({ 0, 0.5, 1 }, m.linspace(0, 1, 3):totable())
  end)

  it("reads nested lists, numbers and booleans", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, m.tensor({ { 1, 2 }, { 3, 4 } }):totable())
    assert.equal("float32", m.tensor({ 1 }).dtype)
    assert.equal("bool", m.tensor({ true, false }).dtype)
    assert.equal(3, m.tensor(3):item())
    assert.same({ 0 }, m.tensor({}).shape)
  end)

  it("draws the same numbers for the same seed", function()
    m.manual_seed(7)
    local a = m.randn { 5 }
    m.manual_seed(7)
    assert.same(a:totable(), m.randn({ 5 }):totable())
    local p = m.randperm(10):sort():totable()
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, p)
    assert.equal("int64", m.randint(1, 10, { 5 }).dtype)
  end)

  it("uses host memory in place and keeps its anchor", function()
    local buffer = m.zeros { 4 }
    local pointer = buffer:data_ptr()
    local view = m.from_blob(pointer, { 2, 2 }, "float32", buffer)
    pointer[3] = 9
    assert.same({ { 0, 0 }, { 0, 9 } }, view:totable())
  end)
end)

describe("fields", function()
  it("tells shape, dtype, device and sizes", function()
    local x = m.zeros { 2, 3 }
    assert.same({ 2, 3 }, x.shape)
    assert.equal(3, x:size(2))
    assert.equal(3, x:size(-1))
    assert.equal(2, #x)
    assert.equal(6, x:numel())
    assert.equal(2, x:dim())
    assert.equal("cpu", x.device)
    assert.is_true(m.is_tensor(x))
    assert.is_false(m.is_tensor {})
  end)

  it("suggests the nearest name for an unknown one", function()
    local _, err = pcall(function() return m.zeros { 2 }.reshap end)
    assert.is_truthy(err:find('did you mean "reshape"', 1, true), err)
  end)
end)

describe("subscripts", function()
  local x = m.range(1, 12):view(3, 4)

  it("select, take ranges and steps", function()
    assert.same({ 5, 6, 7, 8 }, x[2]:totable())
    assert.same({ 9, 10, 11, 12 }, x[-1]:totable())
    assert.equal(7, x[{ 2, 3 }]:item())
    assert.same({ 3, 7 }, x[{ { 1, 2 }, 3 }]:totable())
    assert.same({ { 1, 3 }, { 5, 7 }, { 9, 11 } }, x[{ {}, { 1, -1, 2 } }]:totable())
  end)

  it("alias their tensor", function()
    local y = m.zeros { 2, 2 }
    y[1] = 5
    y[{ 2, 1 }] = 7
    assert.same({ { 5, 5 }, { 7, 0 } }, y:totable())
    y[2] = m.tensor { 1, 2 }
    assert.same({ 1, 2 }, y[2]:totable())
  end)

  it("take masks and index tensors", function()
    assert.same({ 11, 12 }, x[x:gt(10)]:totable())
    assert.same({ { 9, 10, 11, 12 }, { 1, 2, 3, 4 } }, x[m.tensor({ 3, 1 }, { dtype = "int64" })]:totable())
    local y = x:clone()
    y[y:le(10)] = 0
    assert.same({ 11, 12 }, { y[{ 3, 3 }]:item(), y[{ 3, 4 }]:item() })
    assert.equal(23, y:sum():item())
  end)

  it("take masks of the first dimensions, which name rows", function()
    local rows = m.tensor { true, false, true }
    assert.same({ { 1, 2, 3, 4 }, { 9, 10, 11, 12 } }, x[rows]:totable())
    local square = m.range(1, 9):view { 3, 3 }
    assert.same({ { 1, 2, 3 }, { 7, 8, 9 } }, square[rows]:totable())
    square[rows] = 0
    assert.same({ { 0, 0, 0 }, { 4, 5, 6 }, { 0, 0, 0 } }, square:totable())
    local w = m.ones({ 3, 2 }, { requires_grad = true })
    w[rows]:sum():backward()
    assert.same({ { 1, 1 }, { 0, 0 }, { 1, 1 } }, w.grad:totable())
    for _, wrong in ipairs { m.tensor { true, false }, m.tensor { { true }, { false }, { true } }, m.tensor(true) } do
      assert.has_error(function() return square[wrong] end)
      assert.has_error(function() square[wrong] = 1 end)
    end
  end)
end)

describe("operators", function()
  it("work with tensors and numbers on both sides", function()
    local x = m.tensor { 1, 2 }
    assert.same({ 2, 3 }, (x + 1):totable())
    assert.same({ 1, 0 }, (2 - x):totable())
    assert.same({ 2, 1 }, (2 / x):totable())
    assert.same({ 1, 4 }, (x ^ 2):totable())
    assert.same({ -1, -2 }, (-x):totable())
    assert.same({ 2, 4 }, (2 ^ x):totable())
    assert.same({ false, true }, x:gt(1):totable())
  end)

  it("promote as PyTorch", function()
    local i = m.tensor({ 1, 2 }, { dtype = "int64" })
    assert.equal("float32", (i / i).dtype)
    assert.equal("int64", (i + 1).dtype)
    assert.equal("float32", (i + 1.5).dtype)
    assert.equal("float32", (i + m.tensor { 1, 2 }).dtype)
    assert.equal("int64", i:sum().dtype)
    assert.equal("int64", m.tensor({ true, true }):sum().dtype)
  end)
end)

describe("text", function()
  it("is aligned and names shape, dtype and device", function()
    local text = tostring(m.tensor { { 1, -2.5 }, { 10, 0 } })
    assert.is_truthy(text:find("float32 {2, 2} cpu", 1, true))
    assert.is_truthy(text:find("%-2.5000"))
  end)

  it("shortens what is long", function()
    local text = tostring(m.zeros { 100, 100 })
    assert.is_truthy(text:find("...", 1, true))
    assert.is_true(#text < 1500)
  end)

  it("shows empty tensors, scalars and NaN", function()
    assert.is_truthy(tostring(m.zeros { 0, 3 }):find("{0, 3}", 1, true))
    assert.is_truthy(tostring(m.tensor(3)):find("3", 1, true))
    assert.is_truthy(tostring(m.tensor { 0 / 0 }):find("nan", 1, true))
  end)
end)

describe("NaN", function()
  it("with any bits reads as an ordinary number", function()
    local x = m.zeros { 1 }
    local bits = require "mascon.ffi".cast("uint32_t *", x:data_ptr())
    bits[0] = 0xffffffff
    x:mark_changed()
    local v = x:item()
    assert.equal("number", type(v))
    assert.is_true(v ~= v)
    assert.equal("number", type(x:totable()[1]))
  end)
end)
