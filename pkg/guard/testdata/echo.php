<?php // An API that shows what PHP makes of a request.
$vars = array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_'), ARRAY_FILTER_USE_KEY);
header('Content-Type: application/json');
echo json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'target' => $_SERVER['REQUEST_URI'], 'vars' => $vars], JSON_INVALID_UTF8_SUBSTITUTE);
