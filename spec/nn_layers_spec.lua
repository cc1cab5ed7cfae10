-- Normalising layers, Conv1d, ConvTranspose2d, Upsample, Dropout2d, Embedding and the losses of one
-- element each: options, state, training and evaluation.

local mascon = require "mascon"
local nn = mascon.nn
local F = nn.functional

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function close(a, b, tolerance)
  assert.is_true(mascon.allclose(a, b, { rtol = tolerance or 1e-5, atol = tolerance or 1e-6 }))
end

local function names_of(iterator)
  local list = {}
  for name in iterator do
    list[#list + 1] = name
  end
  return list
end

describe("batch norm", function()
  it("has PyTorch's names, defaults and first values", function()
    local bn = nn.BatchNorm2d(3)
    assert.equal("BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=true, track_running_stats=true)",
      tostring(bn))
    assert.same({ "weight", "bias" }, names_of(bn:named_parameters()))
    assert.same({ "running_mean", "running_var", "num_batches_tracked" },
      names_of(bn:named_buffers()))
    assert.equal("int64", bn.num_batches_tracked.dtype)
    close(bn.weight:detach(), mascon.ones { 3 })
    close(bn.running_var, mascon.ones { 3 })
    assert.same({}, nn.BatchNorm1d(3, { affine = false, track_running_stats = false }):state_dict())
  end)

  it("uses the batch in training and the running statistics in evaluation", function()
    local bn, x = nn.BatchNorm2d(4, { momentum = 0.25, eps = 1e-3 }), mascon.randn { 3, 4, 5, 6 }
    local mean, var = mascon.zeros { 4 }, mascon.ones { 4 }
    close(bn(x), F.batch_norm(x, mean, var, { training = true, momentum = 0.25, eps = 1e-3 }))
    close(bn.running_mean, mean)
    close(bn.running_var, var)
    assert.equal(1, bn.num_batches_tracked:item())
    bn:eval()
    close(bn(x), F.batch_norm(x, mean, var, { eps = 1e-3 }))
    assert.equal(1, bn.num_batches_tracked:item())
    bn:train()
    bn.momentum = 0 -- the call follows
    bn(x)
    close(bn.running_mean, mean)
  end)

  it("averages all batches equally with momentum = false", function()
    local bn, sum = nn.BatchNorm1d(2, { momentum = false }), mascon.zeros { 2 }
    for i = 1, 4 do
      local x = mascon.randn { 5, 2, 3 }
      bn(x)
      sum = sum + x:mean { 1, 3 }
      close(bn.running_mean, sum / i)
    end
  end)

  it("holds its statistics when frozen, and moves them with requires_grad_(false)", function()
    local bn, x = nn.BatchNorm1d(3), mascon.randn { 8, 3 } + 2
    bn:requires_grad_(false)
    bn(x)
    assert.equal(1, bn.num_batches_tracked:item())
    local kept = bn.running_mean:clone()
    bn:freeze()
    bn(x)
    close(bn.running_mean, kept)
    assert.equal(1, bn.num_batches_tracked:item())
  end)

  it("uses the batch in evaluation too where it tracks nothing", function()
    local bn, x = nn.BatchNorm1d(3, { track_running_stats = false }), mascon.randn { 8, 3 }
    close(bn:eval()(x), F.batch_norm(x, { training = true }))
  end)

  it("leaves its statistics untouched by an empty batch", function()
    local bn = nn.BatchNorm2d(3)
    assert.same({ 0, 3, 4, 4 }, bn(mascon.zeros { 0, 3, 4, 4 }).shape)
    close(bn.running_mean, mascon.zeros { 3 }, 0)
    close(bn.running_var, mascon.ones { 3 }, 0)
  end)

  it("refuses what it cannot normalise", function()
    local text = message(nn.BatchNorm1d(64), mascon.zeros { 1, 64 }) -- D18
    assert.truthy(text:find("batch_norm: 1 value per channel in training mode; needs 2 or more; "
      .. "input {1, 64}", 1, true))
    assert.truthy(text:find("hint: last batch? use drop_last, or model:eval()", 1, true))
    assert.truthy(message(nn.BatchNorm2d(3), mascon.zeros { 3, 4, 4 }):find("input has 3 dimensions "
      .. "{3, 4, 4}; expected 4 {batch, channels, height, width}\nhint: x:unsqueeze(1)", 1, true))
    assert.truthy(message(nn.BatchNorm2d(3), mascon.zeros { 2, 4, 4, 4 })
      :find("input has 4 channels, the layer takes 3", 1, true))
    assert.truthy(message(nn.BatchNorm2d, 3, { momentum = 2 }):find("momentum is 2", 1, true))
  end)

  it("trains with the layers around it", function()
    mascon.manual_seed(1)
    local net = nn.Sequential(nn.Conv2d(3, 8, { kernel_size = 3, padding = 1 }), nn.ReLU(),
      nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 16, 4), nn.BatchNorm1d(4))
    local x, y = mascon.randn { 16, 3, 8, 8 }, mascon.randint(1, 4, { 16 })
    local optimizer, first, last = mascon.optim.SGD(net:parameters(), { lr = 0.5 }), nil, nil
    for _ = 1, 15 do
      local loss = nn.CrossEntropyLoss()(net(x), y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      first, last = first or loss:item(), loss:item()
    end
    assert.is_true(last < 0.5 * first)
  end)
end)

describe("other layers", function()
  it("normalise as their functions", function()
    local x = mascon.randn { 2, 6, 4, 5 }
    local norm = nn.LayerNorm({ 4, 5 }, { eps = 1e-3 })
    close(norm(x), F.layer_norm(x, { 4, 5 }, norm.weight, norm.bias, { eps = 1e-3 }))
    close(nn.LayerNorm(5, { elementwise_affine = false })(x), F.layer_norm(x, { 5 }))
    assert.is_nil(nn.LayerNorm { 5, bias = false }.bias)
    assert.equal("LayerNorm({5}, eps=1e-05, elementwise_affine=true)", tostring(nn.LayerNorm(5)))
    local group = nn.GroupNorm(3, 6)
    close(group(x), F.group_norm(x, 3, group.weight, group.bias))
    assert.truthy(message(nn.GroupNorm, 4, 6):find("6 channels are not divisible by groups = 4", 1, true))
  end)

  it("convolve rows and back", function()
    local conv, x = nn.Conv1d(4, 6, 3, { stride = 2, padding = 1, groups = 2 }), mascon.randn { 2, 4, 9 }
    local y = conv(x)
    assert.same({ 2, 6, 5 }, y.shape)
    close(y, F.conv2d(x:unsqueeze(3), conv.weight:unsqueeze(3), conv.bias,
      { stride = { 1, 2 }, padding = { 0, 1 }, groups = 2 }):squeeze(3))
    close(y, F.conv1d(x, conv.weight, conv.bias, { stride = 2, padding = 1, groups = 2 }))
    close(y, F.conv1d(x, conv.weight, conv.bias, 2, 1, 1, 2))
    assert.same({ 2, 4, 9 }, nn.Conv1d(4, 4, 3, { padding = "same" })(x).shape)
    assert.truthy(message(conv, mascon.zeros { 4, 9 }):find("conv1d: input has 2 dimensions {4, 9}; "
      .. "expected 3 {batch, channels, length}\nhint: x:unsqueeze(1)", 1, true))
    for mode, border in pairs { reflect = 2, replicate = 2, circular = 2 } do
      local padded = nn.Conv1d(4, 4, 5, { padding = border, padding_mode = mode, dilation = 1, stride = 3 })
      close(padded(x), F.conv1d(F.pad(x, { border, border }, { mode = mode }), padded.weight, padded.bias,
        { stride = 3 }))
      local same = nn.Conv1d(4, 4, 4, { padding = "same", padding_mode = mode })
      close(same(x), F.conv1d(F.pad(x, { 1, 2 }, { mode = mode }), same.weight, same.bias))
      assert.truthy(tostring(same):find("padding_mode=\"" .. mode, 1, true))
    end
    local up = nn.ConvTranspose2d(4, 6, 3, { stride = 2, padding = 1, output_padding = 1, groups = 2 })
    local z = mascon.randn { 2, 4, 5, 6 }
    assert.same({ 4, 3, 3, 3 }, up.weight.shape)
    assert.same({ 2, 6, 10, 12 }, up(z).shape)
    close(up(z), F.conv_transpose2d(z, up.weight, up.bias,
      { stride = 2, padding = 1, output_padding = 1, groups = 2 }))
  end)

  it("bring pictures to another size", function()
    local x = mascon.randn { 1, 2, 4, 5 }
    assert.same({ 1, 2, 8, 15 }, nn.Upsample { scale_factor = { 2, 3 } }(x).shape)
    close(nn.Upsample { size = { 7, 3 }, mode = "bilinear", align_corners = true }(x),
      F.interpolate(x, { size = { 7, 3 }, mode = "bilinear", align_corners = true }))
    assert.truthy(message(nn.Upsample):find("Upsample: size or scale_factor is missing", 1, true))
  end)

  it("drop channels in training only", function()
    local drop, x = nn.Dropout2d(0.5), mascon.ones { 10, 100, 2, 2 }
    local y = drop(x)
    local kept = y:reshape({ 1000, 4 }):sum(2)
    assert.equal(1000, (kept:eq(0):sum() + kept:eq(8):sum()):item())
    assert.equal(x, drop:eval()(x))
  end)

  it("look rows up", function()
    local table_ = nn.Embedding(5, 3)
    local index = mascon.tensor({ { 1, 5 }, { 5, 2 } }, { dtype = "int64" })
    local y = table_(index)
    assert.same({ 2, 2, 3 }, y.shape)
    close(y[2][1]:detach(), table_.weight[5]:detach())
    y:sum():backward()
    close(table_.weight.grad:select(2, 1), mascon.tensor { 1, 1, 0, 0, 2 })
  end)

  it("look rows up, one of them for padding", function()
    for _, padding in ipairs { 5, -1 } do
      local table_ = nn.Embedding(5, 3, { padding_idx = padding })
      assert.equal(5, table_.padding_idx)
      assert.equal("Embedding(5, 3, padding_idx=5)", tostring(table_))
      assert.same({ 0, 0, 0 }, table_.weight[5]:totable())
      assert.is_true(table_.weight[4]:abs():sum():item() > 0)
      table_(mascon.tensor({ { 1, 5 }, { 5, 2 } }, { dtype = "int64" })):sum():backward()
      close(table_.weight.grad:select(2, 1), mascon.tensor { 1, 1, 0, 0, 0 })
    end
    for _, index in ipairs { 0, 6, -6 } do
      assert.truthy(message(nn.Embedding, 5, 3, { padding_idx = index }):find(
        ("Embedding: padding_idx is %d; rows run 1..5 or -5..-1"):format(index), 1, true))
    end
    nn.Embedding(5, 3, { sparse = false })
    assert.truthy(message(nn.Embedding, 5, 3, { sparse = true }):find("Embedding: sparse is not supported", 1, true))
    assert.truthy(message(nn.Embedding, 5, 3, { max_norm = 1 }):find("Embedding: max_norm is not supported", 1, true))
  end)

  it("compute losses", function()
    local x, t = mascon.randn { 4, 3 }, mascon.rand { 4, 3 }
    close(nn.MSELoss()(x, t), ((x - t) ^ 2):mean())
    close(nn.L1Loss { reduction = "sum" }(x, t), (x - t):abs():sum())
    local weight = mascon.tensor { 1, 2, 3 }
    close(nn.BCEWithLogitsLoss { pos_weight = weight }(x, t),
      (-weight * t * F.sigmoid(x):log() - (1 - t) * (1 - F.sigmoid(x)):log()):mean())
    local y = mascon.randint(1, 3, { 4 })
    close(nn.NLLLoss { weight = weight }(F.log_softmax(x, 2), y),
      nn.CrossEntropyLoss { weight = weight }(x, y))
    assert.truthy(message(nn.MSELoss(), x, mascon.zeros { 4 }):find("mse_loss: input is {4, 3}, target "
      .. "is {4}; must be equal", 1, true))
    assert.truthy(message(nn.NLLLoss, { weight = 3 }):find("NLLLoss: weight is 3; expected a tensor", 1, true))
  end)
end)
