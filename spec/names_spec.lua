--- The names that scripts are written with: each must be there. They are fixed, so this list is written out.

local mascon = require "mascon"
local nn, T, optim = mascon.nn, mascon.transforms, mascon.optim

local function each_of(owner, names)
  for name in names:gmatch "%S+" do
    local ok, value = pcall(function()
      return owner[name]
    end)
    assert.is_true(ok and value ~= nil, name)
  end
end

describe("the names of the interface:", function()
  it("mascon", function()
    each_of(mascon, [[
      tensor zeros ones full empty eye range arange linspace rand randn randint randperm zeros_like ones_like
      exp log log1p expm1 sqrt rsqrt abs sign neg reciprocal floor ceil round sin cos erf clamp pow sigmoid tanh
      relu maximum minimum where isnan isfinite logical_and logical_or logical_not bmm outer tril triu one_hot
      nonzero cumsum norm repeat_interleave tile flip roll sum mean var std max min prod any all argmax argmin
      logsumexp cat stack chunk split pad topk sort matmul
      inference_mode no_grad enable_grad autocast scope keep grad detect_anomaly allclose is_tensor Function
      from_blob help compile save load save_model load_model save_checkpoint load_checkpoint EarlyStopping tqdm
      image metrics plot models data datasets transforms nn optim features utils async from_shared cached
      device devices cuda memory manual_seed set_num_threads get_num_threads profile version set_output config
      empty_cache set_float32_precision benchmark deterministic]])
    each_of(mascon.cuda, "is_available synchronize")
    each_of(mascon.utils, "SummaryWriter CSVLogger")
  end)

  it("tensors", function()
    each_of(mascon.zeros { 1 }, [[
      shape size dim numel dtype device matmul eq ne lt le gt ge narrow select index_select gather masked_fill
      copy_ fill_ zero_ normal_ uniform_ add_ sub_ mul_ div_ clamp_ relu_ view reshape flatten permute transpose
      t squeeze unsqueeze expand to cpu cuda float clone detach contiguous item totable release backward
      requires_grad_ data_ptr share mark_changed where pad]])
  end)

  it("layers, losses, functions and initial values", function()
    each_of(nn, [[
      Module Sequential ModuleList Identity Flatten Parameter Conv1d Conv2d ConvTranspose2d Linear MaxPool2d
      AvgPool2d AdaptiveAvgPool2d BatchNorm1d BatchNorm2d LayerNorm GroupNorm Dropout Dropout2d Embedding
      Upsample ReLU ReLU6 LeakyReLU GELU SiLU Hardswish Hardsigmoid Sigmoid Tanh ELU Softplus Softmax LogSoftmax
      CrossEntropyLoss NLLLoss MSELoss L1Loss BCEWithLogitsLoss MultiheadAttention]])
    each_of(nn.functional, [[
      conv1d conv2d conv_transpose2d linear max_pool2d avg_pool2d adaptive_avg_pool2d batch_norm layer_norm
      group_norm dropout softmax log_softmax relu relu6 leaky_relu gelu silu hardswish hardsigmoid sigmoid tanh
      elu softplus cross_entropy nll_loss mse_loss l1_loss binary_cross_entropy_with_logits interpolate pad
      scaled_dot_product_attention]])
    each_of(nn.init, [[
      kaiming_normal_ kaiming_uniform_ xavier_normal_ xavier_uniform_ normal_ uniform_ constant_ zeros_ ones_
      trunc_normal_ orthogonal_]])
    each_of(nn.utils, "clip_grad_norm_")
  end)

  it("modules", function()
    each_of(nn.Linear(2, 2), [[
      parameters named_parameters named_buffers named_children named_modules buffers children modules state_dict
      load_state_dict train eval to requires_grad_ freeze zero_grad apply clone training register_buffer
      register_forward_hook summary num_parameters in_features]])
  end)

  it("optimizers and schedulers", function()
    each_of(optim, "SGD Adam AdamW RMSprop lr_scheduler")
    each_of(optim.lr_scheduler, [[
      StepLR MultiStepLR CosineAnnealingLR OneCycleLR LambdaLR ReduceLROnPlateau LinearLR SequentialLR]])
  end)

  it("data", function()
    each_of(mascon.datasets, "CIFAR10 CIFAR100 MNIST FashionMNIST ImageFolder FakeData")
    each_of(mascon.data, "TensorDataset Subset random_split ConcatDataset DataLoader")
    each_of(T, [[
      Compose ToTensor Normalize Resize CenterCrop RandomCrop RandomHorizontalFlip RandomResizedCrop
      RandomRotation ColorJitter RandomErasing Grayscale Lambda ConvertImageDtype]])
    each_of(mascon.image, "read decode write resize")
  end)

  it("metrics, plots and models", function()
    each_of(mascon.metrics, [[
      ConfusionMatrix accuracy precision_score recall_score f1_score classification_report]])
    each_of(mascon.plot, "lines heatmap images grid hist scatter")
    each_of(mascon.models, [[
      resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d wide_resnet50_2 weights list]])
  end)

  it("compile takes a function and gives one", function()
    assert.is_function(mascon.compile(function() end))
    local ok, message = pcall(mascon.compile, 3)
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find("expected a function", 1, true))
  end)
end)
