-- nn.MultiheadAttention and F.scaled_dot_product_attention: PyTorch's values, state and options.

local mascon = require "mascon"
local nn = mascon.nn
local F = nn.functional

local golden, info = mascon.load "spec/golden/attention.safetensors"
local place = {}
for name, tensor in info.metadata.names:gmatch "(%S+)=(%S+)" do
  place[name] = tensor
end

local function get(name)
  return golden[place[name]]
end

local function close(a, b, tolerance)
  assert.is_true(mascon.allclose(a, b, { rtol = tolerance or 1e-4, atol = tolerance or 1e-5 }))
end

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function causal_mask(n)
  return mascon.ones({ n, n }, { dtype = "bool" }):triu(1)
end

--- The golden layer of this name, its inputs, and what is left of a step.
local function golden_layer(name, options)
  local attn = nn.MultiheadAttention(12, 3, options)
  local state = {}
  for key in pairs(attn:state_dict()) do
    state[key] = get(name .. ".state." .. key)
  end
  attn:load_state_dict(state)
  local x = get(name .. ".x1")
  if name == "same" then
    return attn, x, x, x
  end
  return attn, x, get(name .. ".x2"), get(name .. ".x3")
end

describe("MultiheadAttention", function()
  for name, options in pairs { same = {}, other = { kdim = 6, vdim = 5 } } do
    it("computes as PyTorch: " .. name, function()
      local attn, q, k, v = golden_layer(name, options)
      local masks = { key_padding_mask = get(name .. ".padding"), attn_mask = get(name .. ".mask") }
      for _, need in ipairs { true, false } do
        attn:zero_grad()
        masks.need_weights = need
        local y, w = attn(q, k, v, masks)
        close(y, get(name .. ".y"))
        if need then
          close(w, get(name .. ".w"))
        else
          assert.is_nil(w)
        end
        (y * mascon.arange(0, y:numel()):float():reshape(y.shape):cos()):sum():backward()
        for key, p in attn:named_parameters() do
          close(p.grad, get(name .. ".grad." .. key), 1e-4)
        end
      end
      local y, w = attn(q, k, v, { attn_mask = get(name .. ".added"), average_attn_weights = false })
      close(y, get(name .. ".added_y"))
      close(w, get(name .. ".added_w"))
    end)
  end

  it("has PyTorch's parameters and first values", function()
    local attn = nn.MultiheadAttention(8, 2)
    local names = {}
    for name in attn:named_parameters() do
      names[#names + 1] = name
    end
    assert.same({ "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias" }, names)
    assert.equal(0, attn.in_proj_bias:abs():sum():item() + attn.out_proj.bias:abs():sum():item())
    local bound = math.sqrt(6 / (24 + 8))
    assert.is_true(attn.in_proj_weight:abs():max():item() <= bound)
    assert.is_nil(nn.MultiheadAttention(8, 2, { bias = false }).out_proj.bias)
    assert.is_nil(nn.MultiheadAttention(8, 2, { kdim = 4 }).in_proj_weight)
  end)

  it("gives equal results for equal inputs, one tensor or several", function()
    local attn, x = nn.MultiheadAttention(8, 2), mascon.randn { 2, 4, 8 }
    local y = attn(x, x, x)
    close((attn(x, x:clone(), x:clone())), y)
    local same = x:clone()
    close((attn(x, same, same)), y)
    local causal = { attn_mask = causal_mask(4), need_weights = false, is_causal = true }
    close((attn(x, x, x, causal)), (attn(x, x, x, { attn_mask = causal.attn_mask })))
    assert.same({ 0, 4, 8 }, attn(x:narrow(1, 1, 0), x:narrow(1, 1, 0), x:narrow(1, 1, 0),
      { need_weights = false }).shape)
  end)

  it("drops weights in training only", function()
    local attn, x = nn.MultiheadAttention(8, 2, { dropout = 0.5 }), mascon.randn { 2, 9, 8 }
    for _, need in ipairs { true, false } do
      attn:train()
      local a, b = attn(x, x, x, { need_weights = need }), attn(x, x, x, { need_weights = need })
      assert.is_false(mascon.allclose(a, b))
      attn:eval()
      close((attn(x, x, x, { need_weights = need })), (attn(x, x, x)))
    end
  end)

  it("can be saved as a model, for other sizes of the batch", function()
    local Net = nn.Module:extend "Net"
    function Net:init()
      self.attn = nn.MultiheadAttention(8, 2)
    end
    function Net:forward(x)
      return (self.attn(x, x, x, { need_weights = false }))
    end
    local net, path = Net():eval(), os.tmpname()
    mascon.save_model(path, net, mascon.randn { 2, 5, 8 })
    local model = mascon.load_model(path)
    os.remove(path)
    local x = mascon.randn { 3, 5, 8 }
    close(model(x), net(x))
  end)

  it("refuses what it cannot do", function()
    local attn, x = nn.MultiheadAttention(8, 2), mascon.randn { 2, 4, 8 }
    for text, f in pairs {
      ["embed_dim = 7 is not divisible by num_heads = 2"] = function() nn.MultiheadAttention(7, 2) end,
      ["batch_first = false is not supported"] = function()
        nn.MultiheadAttention(8, 2, { batch_first = false })
      end,
      ["add_bias_kv is not supported"] = function() nn.MultiheadAttention(8, 2, { add_bias_kv = true }) end,
      ["add_zero_attn is not supported"] = function()
        nn.MultiheadAttention(8, 2, { add_zero_attn = true })
      end,
      ["is_causal is given without attn_mask"] = function() attn(x, x, x, { is_causal = true }) end,
      ["key is nil; expected a tensor"] = function() attn(x) end,
      ["query has 2 dimensions {4, 8}; expected 3 {batch, positions, features}\nhint: x:unsqueeze(1)"] =
        function() attn(x[1], x, x) end,
      ["value is {2, 3, 8}; does not fit key {2, 4, 8}"] = function() attn(x, x, x:narrow(2, 1, 3)) end,
      ["attn_mask is {3, 4}; expected {4, 4} or {4, 4, 4}"] = function()
        attn(x, x, x, { attn_mask = mascon.zeros { 3, 4 } })
      end,
      ["key_padding_mask is int64; expected bool or a floating type"] = function()
        attn(x, x, x, { key_padding_mask = mascon.zeros({ 2, 4 }, { dtype = "int64" }) })
      end,
    } do
      assert.truthy(message(f):find("MultiheadAttention: " .. text, 1, true), text)
    end
  end)
end)

describe("scaled_dot_product_attention", function()
  it("computes as PyTorch", function()
    local q, k, v, mask = get "q", get "k", get "v", get "mask"
    close(F.scaled_dot_product_attention(q, k, v, { attn_mask = mask }), get "masked")
    close(F.scaled_dot_product_attention(q, k, v, mask), get "masked")
    close(F.scaled_dot_product_attention(q, k, v, { is_causal = true, scale = 0.3 }), get "causal")
  end)

  it("has the gradients of the chain of operations over several tiles of rows and keys", function()
    local function check(batch, l, s, causal)
      local q, k, v = mascon.randn { batch, l, 20 }, mascon.randn { batch, s, 20 }, mascon.randn { batch, s, 20 }
      local grads, w = {}, mascon.randn { batch, l, 20 }
      local hidden = mascon.full({ l, s }, -math.huge):triu(1)
      for way = 1, 2 do
        local a, b, c = q:clone():requires_grad_(true), k:clone():requires_grad_(true),
          v:clone():requires_grad_(true)
        local scores = way == 2 and a:matmul(b:transpose(2, 3)) / math.sqrt(20)
        local y = way == 1 and F.scaled_dot_product_attention(a, b, c, { is_causal = causal })
          or mascon.softmax(causal and scores + hidden or scores, 3):matmul(c)
        ;(y * w):sum():backward()
        grads[way] = { y:detach(), a.grad, b.grad, c.grad }
      end
      for i = 1, 4 do
        close(grads[1][i], grads[2][i])
      end
    end
    check(2, 140, 90, false)
    check(1, 140, 300, true)
    check(3, 300, 290, true)
    check(9, 130, 130, true)
  end)

  it("has the same bits for any number of threads", function()
    for _, batch in ipairs { 1, 3 } do
      local q, k, v = mascon.randn { batch, 140, 20 }, mascon.randn { batch, 300, 20 },
        mascon.randn { batch, 300, 20 }
      local before, results = mascon.get_num_threads(), {}
      for _, threads in ipairs { 1, 2, 4, 8 } do
        mascon.set_num_threads(threads)
        mascon.manual_seed(3)
        local a, b, c = q:clone():requires_grad_(true), k:clone():requires_grad_(true),
          v:clone():requires_grad_(true)
        local y = F.scaled_dot_product_attention(a, b, c, { dropout_p = 0.2 })
        y:sum():backward()
        results[#results + 1] = { y:detach(), a.grad, b.grad, c.grad }
        for i = 1, 4 do
          assert.is_true(results[#results][i]:eq(results[1][i]):all():item())
        end
      end
      mascon.set_num_threads(before)
    end
  end)

  it("refuses a wrong mask and a wrong share", function()
    local x = mascon.randn { 2, 4, 8 }
    assert.truthy(message(F.scaled_dot_product_attention, x, x, x, { attn_mask = 3 }):find(
      "scaled_dot_product_attention: attn_mask is 3; expected a tensor", 1, true))
    assert.truthy(message(F.scaled_dot_product_attention, x, x, x, { enable_gqa = true }):find(
      "scaled_dot_product_attention: enable_gqa is not supported", 1, true))
    assert.truthy(message(F.scaled_dot_product_attention, x, x, x, { dropout_p = 2 }):find(
      "scaled_dot_product_attention: dropout_p is 2", 1, true))
  end)
end)
