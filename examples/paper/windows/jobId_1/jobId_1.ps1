# Sorts the lines of the input by their first number, and says what it has done.
$ErrorActionPreference = 'Stop'

$lines = Get-Content -Path 'jobId_1.input' | Where-Object { $_.Trim() -ne '' }
$sorted = $lines | Sort-Object { [int]($_ -split ' ')[0] }
Set-Content -Path 'jobId_1.output' -Value $sorted
Write-Output "Sorted $($sorted.Count) lines"
