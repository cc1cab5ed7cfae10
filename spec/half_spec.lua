--- bfloat16 and float16 on the CPU: every floating op takes them, gradients keep their type, sums are
--- made in float32, and what is written in place is rounded once. The matrix of ops is in ops_spec.

local mascon = require "mascon"
local op = require "mascon.op"
local layer = require "mascon.ffi"
local F = require "mascon.nn.functional"

local C = layer.C
local HALF = { "bfloat16", "float16" }

local function values(t)
  return t:flatten():totable()
end

describe("16-bit floats", function()
  it("are offered wherever float32 is", function()
    for _, row in ipairs(op.list()) do
      local half = 2 ^ C.MASCON_DTYPE_BF16 + 2 ^ C.MASCON_DTYPE_F16
      if bit.band(row.dtypes, 2 ^ C.MASCON_DTYPE_F32) ~= 0 then
        assert.equal(half, bit.band(row.dtypes, half), row.name)
        for _, backend in ipairs { "cpu", "reference" } do
          local support = C.mascon_op_support(row.id, backend)
          assert.equal(bit.band(support, 1) ~= 0, bit.band(support, half) == half, row.name .. " " .. backend)
        end
      end
    end
  end)

  it("round to the nearest and to even", function()
    local x = mascon.tensor { 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 1 + 2 ^ -8 + 2 ^ -20, -1 - 2 ^ -8, 3.4e38, 2 ^ -133 }
    assert.same({ 1, 1 + 2 ^ -6, 1 + 2 ^ -7, -1, math.huge, 2 ^ -133 }, values(x:to "bfloat16"))
    local y = mascon.tensor { 1 + 2 ^ -11, 1 + 3 * 2 ^ -11, 65519, 65520, 2 ^ -24, 2 ^ -25 }
    assert.same({ 1, 1 + 2 ^ -9, 65504, math.huge, 2 ^ -24, 0 }, values(y:to "float16"))
  end)

  it("sum in float32", function()
    local ones = mascon.ones({ 4096 }, { dtype = "bfloat16" })
    assert.equal(4096, ones:sum():item()) -- in bfloat16 the sum would stop at 256
    assert.equal(1, ones:mean():item())
    assert.equal("bfloat16", ones:sum().dtype)
    local x = mascon.ones({ 1, 1000 }, { dtype = "float16" })
    assert.equal(1000, (x:matmul(x:t())):item())
  end)

  it("promote as PyTorch's table", function()
    local types = { "bfloat16", "float16", "float32", "float64", "int64", "uint8", "bool" }
    local expect = {
      bfloat16 = { "bfloat16", "float32", "float32", "float64", "bfloat16", "bfloat16", "bfloat16" },
      float16 = { "float32", "float16", "float32", "float64", "float16", "float16", "float16" },
    }
    for a, row in pairs(expect) do
      for i, b in ipairs(types) do
        local x, y = mascon.ones({ 2 }, { dtype = a }), mascon.ones({ 2 }, { dtype = b })
        assert.equal(row[i], (x + y).dtype, a .. " + " .. b)
        assert.equal(row[i], (y * x).dtype, b .. " * " .. a)
      end
      assert.equal(a, (mascon.ones({ 2 }, { dtype = a }) + 0.5).dtype)
      assert.equal(a, (mascon.ones({ 2 }, { dtype = a }) * mascon.tensor(2)).dtype)
    end
    assert.equal("float32", mascon.ones({ 2 }, { dtype = "int64" }):sqrt().dtype)
  end)

  it("have gradients of their own type", function()
    for _, dtype in ipairs(HALF) do
      local x = mascon.randn({ 3, 4 }):to(dtype):requires_grad_(true)
      local w = mascon.randn({ 5, 4 }):to(dtype):requires_grad_(true)
      F.linear(x, w):relu():sum():backward()
      assert.equal(dtype, x.grad.dtype)
      assert.equal(dtype, w.grad.dtype)
    end
  end)

  it("keep the parameters and statistics of a norm in float32", function()
    for _, dtype in ipairs(HALF) do
      local bn = mascon.nn.BatchNorm2d(3)
      local x = mascon.randn({ 4, 3, 5, 5 }):to(dtype):requires_grad_(true)
      local y = bn(x)
      assert.equal(dtype, y.dtype)
      y:sum():backward()
      assert.equal(dtype, x.grad.dtype)
      assert.equal("float32", bn.weight.grad.dtype)
      assert.equal("float32", bn.running_mean.dtype)
      local wide = x:detach():float()
      local mean = wide:transpose(1, 2):reshape({ 3, -1 }):mean(2) * 0.1
      assert.is_true(mascon.allclose(bn.running_mean, mean, { rtol = 1e-5, atol = 1e-7 }))
      for _, norm in ipairs { mascon.nn.LayerNorm { 5, 5 }, mascon.nn.GroupNorm(3, 3) } do
        local z = norm(x)
        assert.equal(dtype, z.dtype)
        z:mul(z):sum():backward()
        assert.equal("float32", norm.weight.grad.dtype)
      end
      -- all of one type is allowed too, and a bias alone in it gets its gradient in it
      local bias = mascon.zeros({ 3 }, { dtype = dtype, requires_grad = true })
      mascon.batch_norm(x:detach(), nil, nil, nil, bias, { training = true }):sum():backward()
      assert.equal(dtype, bias.grad.dtype)
      assert.same({ 100, 100, 100 }, values(bias.grad))
    end
    assert.has_error(function()
      mascon.batch_norm(mascon.randn { 4, 3 }, nil, nil, mascon.ones({ 3 }, { dtype = "bfloat16" }),
        { training = true })
    end)
  end)

  it("are written in place with one rounding", function()
    for _, dtype in ipairs(HALF) do
      local x = mascon.tensor({ 1, 2, 3 }, { dtype = dtype })
      local version = C.mascon_tensor_version(x.h)
      assert.equal(x, x:exp_())
      assert.is_true(C.mascon_tensor_version(x.h) > version)
      local want = mascon.tensor({ 1, 2, 3 }):exp():to(dtype)
      assert.same(values(want), values(x))
      local view = mascon.zeros({ 2, 3, 2 }, { dtype = dtype }):select(3, 1)
      view:add_(mascon.ones { 3 })
      assert.same({ 1, 1, 1, 1, 1, 1 }, values(view))
    end
  end)

  it("are stepped by every optimizer", function()
    local make = {
      SGD = { lr = 0.1, momentum = 0.9 }, Adam = { lr = 0.1 }, AdamW = { lr = 0.1 }, RMSprop = { lr = 0.1 },
    }
    for name, given in pairs(make) do
      for _, dtype in ipairs(HALF) do
        local p = mascon.tensor({ 1, -2, 3 }, { dtype = dtype }):requires_grad_(true)
        local q = mascon.tensor({ 1, -2, 3 }):requires_grad_(true)
        local half, wide = mascon.optim[name]({ p }, given), mascon.optim[name]({ q }, given)
        for _ = 1, 3 do
          for _, t in ipairs { p, q } do
            t.grad = nil
            t:mul(t):sum():backward()
          end
          half:step()
          wide:step()
        end
        assert.equal(dtype, p.dtype)
        local off = (p:detach():float() - q:detach()):abs():max():item()
        assert.is_true(off > 0 and off < 0.05, ("%s in %s is off by %g"):format(name, dtype, off))
      end
    end
  end)

  it("are clipped by their common norm", function()
    local p = mascon.zeros({ 2 }, { dtype = "bfloat16", requires_grad = true })
    p:mul(mascon.tensor({ 3, 4 }, { dtype = "bfloat16" })):sum():backward()
    local norm = mascon.nn.utils.clip_grad_norm_({ p }, 1)
    assert.equal(5, type(norm) == "number" and norm or norm:item())
    assert.is_true(math.abs(values(p.grad)[1] - 0.6) < 0.003)
  end)

  it("draw the same dropout as float32", function()
    mascon.manual_seed(3)
    local y = F.dropout(mascon.ones { 64 }, { p = 0.5 })
    mascon.manual_seed(3)
    assert.same(values(y), values(F.dropout(mascon.ones({ 64 }, { dtype = "bfloat16" }), { p = 0.5 })))
  end)

  it("say in the profile that they were widened", function()
    local x = mascon.randn({ 8, 8 }):to "float16"
    local text = tostring(mascon.profile(function()
      x:erf()
    end))
    assert.is_truthy(text:find("(widened)", 1, true), text)
  end)

  it("keep errors in their own words", function()
    local good, err = pcall(F.cross_entropy, mascon.zeros({ 2, 3 }, { dtype = "bfloat16" }),
      mascon.tensor({ 1, 4 }, { dtype = "int64" }))
    assert.is_false(good)
    assert.is_truthy(tostring(err):find("target 2 of 2 is 4; classes run 1..3", 1, true))
    assert.is_truthy(tostring(err):find("x%s+bfloat16"), tostring(err))
  end)
end)
