"""The code of the PowerShell scripts, in the order in which it runs. It holds nothing of any job.

Facts it rests on: Windows PowerShell 5.1 with the AWS Tools (any of the module's editions), run by
SSM's agent as SYSTEM, which may make symbolic links. There, `Get-ChildItem -Recurse` follows
links, so folders are walked by hand; and `New-Item -Target` takes wildcards, so they are escaped.
"""

FUNCTIONS = r"""# One attempt of a Shoal job.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

function Read-Text([string] $encoded) {
    [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($encoded))
}

function Write-Word([string] $text) {
    [Console]::Error.WriteLine('shoal: ' + $text)
}

# rd follows no links, minds no read-only files, and takes long paths by this prefix.
function Remove-Folder([string] $path) {
    if ([IO.Directory]::Exists($path)) {
        & $env:ComSpec /d /c rd /s /q "\\?\$path"
        if ([IO.Directory]::Exists($path)) { Write-Word "$path could not be removed" }
    }
}

function Test-Link($entry) {
    ($entry.Attributes -band [IO.FileAttributes]::ReparsePoint) -ne 0
}

function Remove-Link($entry) {
    if ($entry -is [IO.DirectoryInfo]) { [IO.Directory]::Delete($entry.FullName) }
    else { [IO.File]::Delete($entry.FullName) }
}

# All files below a folder, and all links, without going through these.
function Get-Entries([string] $folder) {
    $pending = New-Object 'Collections.Generic.Stack[IO.DirectoryInfo]'
    $pending.Push((New-Object IO.DirectoryInfo $folder))
    while ($pending.Count -gt 0) {
        foreach ($entry in $pending.Pop().GetFileSystemInfos()) {
            if ((Test-Link $entry) -or ($entry -is [IO.FileInfo])) { $entry }
            else { $pending.Push($entry) }
        }
    }
}

function Get-State($file) {
    '{0} {1}' -f $file.Length, $file.LastWriteTimeUtc.Ticks
}

# Take the links out of the other folder that lead into attempts; what else was there stays.
function Remove-OurLinks([string] $folder) {
    if (-not [IO.Directory]::Exists($folder)) { return }
    foreach ($entry in (New-Object IO.DirectoryInfo $folder).GetFileSystemInfos()) {
        if (Test-Link $entry) {
            $target = @((Get-Item -LiteralPath $entry.FullName -Force).Target)[0]
            if (([string] $target).StartsWith($base + '\', [StringComparison]::OrdinalIgnoreCase)) {
                Remove-Link $entry
            }
        }
    }
}

# Move the plain files that were not there before, as the list in folder $own says, to $target.
function Move-NewFiles([string] $own, [string] $target) {
    $list = Join-Path $own 'foreign'
    if (-not [IO.File]::Exists($list)) { return }
    $lines = [IO.File]::ReadAllLines($list)
    $foreign = @{}
    foreach ($line in $lines) { $foreign[$line] = $true }
    # The first line is the folder itself.
    if (-not [IO.Directory]::Exists($lines[0])) { return }
    foreach ($file in (New-Object IO.DirectoryInfo $lines[0]).GetFiles()) {
        if (-not $foreign.ContainsKey($file.Name) -and -not (Test-Link $file)) {
            $path = Join-Path $target $file.Name
            if ([IO.File]::Exists($path)) { [IO.File]::Delete($path) }
            [IO.File]::Move($file.FullName, $path)
        }
    }
}

function Set-Variables([hashtable] $values) {
    foreach ($name in $values.Keys) {
        [Environment]::SetEnvironmentVariable($name, $values[$name], 'Process')
    }
}

"""

START = r"""
$code = 121
$word = ''
$doing = ''
$claimed = $false
$watch = $null
$root = Join-Path $env:ProgramData 'Shoal'
$base = Join-Path $root 'attempts'
$started = Join-Path $root 'started'
$own = Join-Path $base $name
$work = Join-Path $own 'work'
$timedOut = Join-Path $own 'timed-out'
try {
    # --- Start: once here, and alone.
    [void] [IO.Directory]::CreateDirectory($base)
    [void] [IO.Directory]::CreateDirectory($started)
    $mark = Join-Path $started $name
    try {
        [IO.File]::Open($mark, [IO.FileMode]::CreateNew).Close()
    } catch {
        if (-not [IO.File]::Exists($mark)) { throw }
        # A command delivered twice comes at once; an older mark is from another life of this stack.
        if (([DateTime]::UtcNow - [IO.File]::GetLastWriteTimeUtc($mark)).TotalMinutes -lt 15) {
            throw 'this attempt has been started here before'
        }
        [IO.File]::SetLastWriteTimeUtc($mark, [DateTime]::UtcNow)
    }
    if ([IO.Directory]::Exists($own)) { throw 'this attempt has been started here before' }
    $earlier = [IO.Directory]::GetDirectories($base)
    [void] [IO.Directory]::CreateDirectory($work)
    $claimed = $true
    foreach ($other in $earlier) {
        $attic = Join-Path $other 'attic'
        [void] [IO.Directory]::CreateDirectory($attic)
        Move-NewFiles $other $attic
        Remove-Folder $other
    }
    foreach ($path in [IO.Directory]::GetFiles($started)) {
        if (([DateTime]::UtcNow - [IO.File]::GetLastWriteTimeUtc($path)).TotalDays -gt 1) {
            [IO.File]::Delete($path)
        }
    }
"""

STAGE_IN = r"""
    # --- Stage in.
    $doing = "the job folder s3://$bucket/$prefix can't be staged in: "
    [void] (Read-S3Object -BucketName $bucket -KeyPrefix $prefix -Folder $work)
    $doing = ''
    $before = @{}
    foreach ($file in Get-Entries $work) { $before[$file.FullName] = Get-State $file }
"""

PREPARE_EXECUTABLE = r"""
    $program = Join-Path $work $executable
    if (-not [IO.File]::Exists($program)) {
        throw "the executable $executable is not there any more"
    }
"""

PREPARE_SCRIPT = r"""
    $program = Join-Path $own 'script.ps1'
    # The byte order mark tells Windows PowerShell that it is UTF-8.
    [IO.File]::WriteAllText($program, $script, (New-Object Text.UTF8Encoding $true))
"""

LAY_OVER = r"""
    # --- Executables may call their files by this path: it links to the work folder's.
    [void] [IO.Directory]::CreateDirectory($overlay)
    Remove-OurLinks $overlay
    $entries = (New-Object IO.DirectoryInfo $overlay).GetFileSystemInfos()
    $there = @($entries | ForEach-Object { $_.Name })
    [IO.File]::WriteAllLines((Join-Path $own 'foreign'), [string[]] (@($overlay) + $there))
    foreach ($entry in (New-Object IO.DirectoryInfo $work).GetFileSystemInfos()) {
        if ($there -notcontains $entry.Name) {
            $target = [Management.Automation.WildcardPattern]::Escape($entry.FullName)
            $link = Join-Path $overlay $entry.Name
            [void] (New-Item -ItemType SymbolicLink -Path $link -Target $target)
        }
    }
"""

WATCH_TIME = r"""
    # Ends the job when its time is over: all that this process has started, and their children.
    $watch = [PowerShell]::Create()
    [void] $watch.AddScript({
        param($milliseconds, $parent, $flag)
        Start-Sleep -Milliseconds $milliseconds
        [IO.File]::WriteAllText($flag, '')
        Get-CimInstance -ClassName Win32_Process -Filter "ParentProcessId = $parent" |
            Where-Object { $_.Name -ne 'conhost.exe' } |
            ForEach-Object { [void] (& taskkill.exe /T /F /PID $_.ProcessId) }
    }.ToString()).AddArgument($milliseconds).AddArgument($PID).AddArgument($timedOut)
    [void] $watch.BeginInvoke()
"""

RUN = r"""
    # --- Run.
    $kept = @{}
    if ($env:AWS_SSM_INSTANCE_ID) { $variables['SHOAL_WORKER_ID'] = $env:AWS_SSM_INSTANCE_ID }
    foreach ($key in $variables.Keys) { $kept[$key] = [Environment]::GetEnvironmentVariable($key) }
    Set-Variables $variables
    Set-Location -LiteralPath $work
    $ErrorActionPreference = 'Continue'
    $global:LASTEXITCODE = $null
    if ([IO.Path]::GetExtension($program) -eq '.ps1') {
        # The exit code of the last program counts, as the agent does it; -File alone forgets it.
        $wrapper = Join-Path $own 'run.ps1'
        $shell = Join-Path $PSHOME 'powershell.exe'
        [IO.File]::WriteAllText($wrapper, 'param($program) & $program; exit $LASTEXITCODE')
        & $shell -InputFormat None -NoProfile -NonInteractive -ExecutionPolicy Bypass `
            -File $wrapper $program
    } else {
        & $program | ForEach-Object { $_ }  # a pipe waits for programs with windows, too
    }
    $well = $?
    $ended = $global:LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    Set-Location -LiteralPath $base
    Set-Variables $kept
    if ($null -ne $ended) { $code = $ended } elseif ($well) { $code = 0 } else { $code = 1 }
"""

END_OF_TIME = r"""
    $watch.Stop()
    if ([IO.File]::Exists($timedOut)) {
        $code = 124
        $word = 'timed out after {0} s' -f ($milliseconds / 1000)
    }
"""

COLLECT = r"""
    # What was made under the other path belongs to the work folder.
    Move-NewFiles $own $work
"""

CHECK_REQUIRED = r"""
    if ($code -eq 0) {
        $missing = @($required | Where-Object { -not [IO.File]::Exists((Join-Path $work $_)) })
        if ($missing.Count -gt 0) {
            $code = 122
            $word = 'required file missing: ' + ($missing -join ', ')
        }
    }
"""

STAGE_OUT = r"""
    $doing = "the results can't be staged out: "
    # --- Stage out: remove from the work folder what is no result, and upload the rest.
    $results = 0
    foreach ($entry in @(Get-Entries $work)) {
        if (Test-Link $entry) {
            Remove-Link $entry
        } elseif ($before[$entry.FullName] -eq (Get-State $entry)) {
            $entry.IsReadOnly = $false
            $entry.Delete()
        } else {
            $results += 1
        }
    }
    if ($results -gt 0) {
        Write-S3Object -BucketName $bucket -KeyPrefix $prefix -Folder $work -Recurse `
            -Metadata $metadata
        # Names of results are no output of the job, in which its success string may be looked for.
        Write-Output 'upload: results'
    }
"""

END = r"""
} catch {
    $code = 121
    $word = $doing + $_.Exception.GetBaseException().Message
}
try {
    if ($watch) { $watch.Dispose() }
    if ($claimed) {
        Set-Location -LiteralPath $base
        Remove-OurLinks $overlay
        Remove-Folder $own
    }
} catch {
    Write-Word ('something is left: ' + $_.Exception.GetBaseException().Message)
}
if ($code -eq 3010) {
    $code = 1
    if (-not $word) { $word = 'exit code 3010, by which SSM would restart the machine' }
}
if ($word) { Write-Word ($word -replace '\s+', ' ') }
exit $code
"""
