--- Memory layouts: activations stay channels-last, conversions are counted, views alias.

local m = require "mascon"
local N = require "spec.support.networks"

describe("a training step of SimpleCNN", function()
  it("converts layouts once each way, at Flatten", function()
    m.manual_seed(1)
    local model = N.SimpleCNN(3, 10, 10)
    local optimizer = m.optim.Adam(model:parameters(), { lr = 1e-3 })
    local loss_fn = m.nn.CrossEntropyLoss()
    local x, y = N.batch(8)
    N.step(model, optimizer, loss_fn, x, y)
    local profile = m.profile(function() N.step(model, optimizer, loss_fn, x, y) end)
    assert.equal(2, #profile.sites, table.concat(profile.sites, "; "))
    local sites = table.concat(profile.sites, " ")
    assert.is_truthy(sites:find("flatten", 1, true) or sites:find("reshape", 1, true), sites)
    assert.is_truthy(sites:find("max_pool2d_bwd", 1, true), sites)
  end)

  it("keeps convolution outputs, gradients and weights channels-last", function()
    local conv = m.nn.Conv2d(3, 4, 3, { padding = 1 })
    assert.equal("nhwc", (conv.weight:layout()))
    local x = N.batch(2, 8)
    local y = conv(x)
    assert.equal("nhwc", (y:layout()))
    assert.equal("nhwc", (y:relu():layout()))
    y:sum():backward()
    assert.equal("nhwc", (conv.weight.grad:layout()))
  end)
end)

describe("views", function()
  it("of a channels-last tensor alias it", function()
    local x = N.batch(2, 4)
    local v = x:permute(1, 3, 4, 2)
    v[{ 1, 1, 1, 1 }] = 42
    assert.equal(42, x[{ 1, 1, 1, 1 }]:item())
    local s = x:select(2, 3)
    s[{ 2, 4, 4 }] = 7
    assert.equal(7, x[{ 2, 3, 4, 4 }]:item())
  end)

  it("read the same values in every layout", function()
    local x = m.randn { 2, 3, 4, 5 }
    local y = require "mascon.create".new_nhwc("x", x.shape)
    y:copy_(x)
    assert.same(x:totable(), y:totable())
    assert.same(x:flatten(2):totable(), y:flatten(2):totable())
    assert.has_error(function() y:view(2, 60) end)
    assert.is_truthy(pcall(y.data_ptr, x))
    local good, err = pcall(function() return y:data_ptr() end)
    assert.is_false(good)
    assert.is_truthy(err:find("x:contiguous()", 1, true), err)
  end)
end)
