-- The examples about trained networks, run as a user runs them, on drawn pictures and random weights.

local cifar = require "spec.support.cifar"
local m = require "mascon"

--- Runs a command; returns its standard output, its exit status and its standard error.
local function run(command)
  local errors = os.tmpname()
  local pipe = assert(io.popen(("%s 2>%s; echo $?"):format(command, errors)))
  local text = pipe:read "*a"
  pipe:close()
  local file = assert(io.open(errors))
  local complaints = file:read "*a"
  file:close()
  os.remove(errors)
  local out, status = text:match "^(.-)(%d+)\n$"
  return out, status, complaints
end

local program = os.getenv "MASCON_PROGRAM" or "luajit"

local function exists(path)
  local file = io.open(path)
  if file then
    file:close()
  end
  return file ~= nil
end

describe("resnet50_transfer.lua", function()
  local function transfer(folder, more)
    return run(("%s examples/resnet50_transfer.lua --model resnet18 --weights none --size 32 --limit 40 --epochs 2 "
      .. "--workers 1 --data %s/none --out %s %s"):format(program, folder, folder, more))
  end

  it("trains a new layer on a frozen network", function()
    local folder = cifar.folder()
    local text, status = transfer(folder, "")
    assert.equal("0", status)
    assert.truthy(text:find "\nEpoch: 2 | train_loss: %d+%.%d+ | train_acc: ")
    assert.truthy(text:find "\nTest | accuracy: %d%.%d%d%d%d | f1: ")
    assert.is_true(exists(folder .. "/resnet50_transfer.svg"))
    assert.is_true(exists(folder .. "/resnet50_transfer_confusion.svg"))
    cifar.remove(folder)
  end)

  it("computes features once, uses them again, and fine-tunes", function()
    local folder = cifar.folder()
    local text, status, said = transfer(folder, "--cache-features --fine-tune layer4")
    assert.equal("0", status, said)
    assert.truthy(text:find("Fine-tuning layer4\n", 1, true))
    assert.truthy(said:find("features: 100%", 1, true))
    for _, name in ipairs { "features_train.safetensors", "features_val.safetensors", "features_test.safetensors",
      "resnet50_transfer_fine_tune.svg" } do
      assert.is_true(exists(folder .. "/" .. name), name)
    end
    local again
    again, status, said = transfer(folder, "--cache-features --fine-tune layer4")
    assert.equal("0", status)
    assert.equal(text, again)
    assert.is_nil(said:find("features: 100%", 1, true))
    cifar.remove(folder)
  end)

  it("refuses parts and weights that are not there", function()
    local folder = cifar.folder()
    assert.equal("2", (select(2, transfer(folder, "--fine_tune layer9"))))
    assert.equal("2", (select(2, transfer(folder, "--cache_features=yes"))))
    for more, complaint in pairs {
      ["--fine_tune fc"] = "--fine_tune is fc; the new layer is trained anyhow",
      ["--fine_tune relu"] = "--fine_tune is relu; that part has nothing to train",
      ["--model alexnet"] = "--model is alexnet; expected one of resnet101, ",
      ["--model list"] = "--model is list; expected one of resnet101, ",
    } do
      local _, status, said = transfer(folder, more)
      assert.equal("2", status)
      assert.truthy(said:find(complaint, 1, true), said)
    end
    local _, status, said = transfer(folder, "--weights " .. folder .. "/no.pth")
    assert.equal("1", status)
    assert.truthy(said:find("no.pth: no such file", 1, true))
    cifar.remove(folder)
  end)
end)

describe("classify.lua", function()
  it("prints the best classes of each picture", function()
    local folder = cifar.folder()
    m.manual_seed(4)
    m.save(folder .. "/w.safetensors", m.models.resnet18():state_dict())
    m.image.write(folder .. "/a.png", m.randint(0, 255, { 3, 40, 60 }):to "uint8")
    m.image.write(folder .. "/b.png", m.randint(0, 255, { 1, 50, 30 }):to "uint8")
    local text, status = run(("%s examples/classify.lua --model resnet18 --weights %s/w.safetensors --top 3 %s/a.png "
      .. "%s/b.png"):format(program, folder, folder, folder))
    assert.equal("0", status)
    local line = "   ?[ %d][ %d]%d%.%d %%  [^\n]+\n"
    assert.truthy(text:find("^" .. folder .. "/a.png\n" .. line:rep(3) .. folder .. "/b.png\n" .. line:rep(3)
      .. "$"), text)
    assert.equal("2", (select(2, run(program .. " examples/classify.lua"))))
    assert.equal("2", (select(2, run(program .. " examples/classify.lua --top 0 a.png"))))
    assert.equal("2", (select(2, run(program .. " examples/classify.lua --model list a.png"))))
    assert.truthy((run(program .. " examples/classify.lua --help")):find("PICTURE...", 1, true))
    cifar.remove(folder)
  end)
end)

describe("resnet_cifar.lua", function()
  --- A state dict with the names of the published checkpoints.
  local function checkpoint()
    local sd = {}
    local function norm(name, n)
      sd[name .. ".weight"], sd[name .. ".bias"] = m.ones { n }, m.zeros { n }
      sd[name .. ".running_mean"], sd[name .. ".running_var"] = m.zeros { n }, m.ones { n }
    end
    sd["module.conv1.weight"] = m.randn { 16, 3, 3, 3 } * 0.2
    norm("module.bn1", 16)
    local channels = 16
    for l = 1, 3 do
      for b = 0, 2 do
        local name, out = ("module.layer%d.%d."):format(l, b), 8 * 2 ^ l
        sd[name .. "conv1.weight"] = m.randn { out, channels, 3, 3 } * 0.1
        sd[name .. "conv2.weight"] = m.randn { out, out, 3, 3 } * 0.1
        norm(name .. "bn1", out)
        norm(name .. "bn2", out)
        channels = out
      end
    end
    sd["module.linear.weight"], sd["module.linear.bias"] = m.randn { 10, 64 }, m.zeros { 10 }
    return { state_dict = sd, best_prec1 = 91.7 }
  end

  it("loads a checkpoint and scores the test pictures", function()
    local folder = cifar.folder()
    cifar.make(folder, "bin", 10000, { test_batch = true })
    m.save(folder .. "/w.safetensors", checkpoint())
    local text, status, said = run(("%s examples/resnet_cifar.lua --data %s --weights %s/w.safetensors --limit 20")
      :format(program, folder, folder))
    assert.equal("0", status, said)
    assert.truthy(text:find "^Test | accuracy: [^\n]*\n%d+ of 20 pictures are right\n$", text)
    assert.equal("2", (select(2, run(program .. " examples/resnet_cifar.lua"))))
    cifar.remove(folder)
  end)
end)
